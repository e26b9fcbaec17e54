import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { waitFor } from '@ipfs-cluster/testkit'
import { addressOf, createTestNetwork } from './test-network.ts'

test('whoever was met is in the peerstore file without an orderly stop, on both sides', async () => {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'peerstore-'))
  stack.defer(() => rm(folder, { recursive: true }))
  const paths = [join(folder, 'one'), join(folder, 'two')] as const
  const one = stack.use(await createTestNetwork({ peerstorePath: paths[0] }))
  const two = stack.use(await createTestNetwork({ peerstorePath: paths[1] }))
  await two.connect(addressOf(one))
  await waitFor(async () => {
    assert.match(await readFile(paths[0], 'utf8'), new RegExp(two.peerId))
    assert.match(await readFile(paths[1], 'utf8'), new RegExp(one.peerId))
    return true
  })
})
