import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { silentLogger } from '@ipfs-cluster/base'
import { createManualClock, waitFor } from '@ipfs-cluster/testkit'
import { multiaddr } from '@multiformats/multiaddr'
import type { PeerAddresses } from './peerstore-file.ts'
import { createPeerstoreKeeper } from './peerstore-keeper.ts'
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

test('the first one met is written at once, those who follow together a second later', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'peerstore-'))
  t.after(() => rm(folder, { recursive: true }))
  const path = join(folder, 'peerstore')
  const clock = createManualClock()
  const libp2p = new EventTarget()
  const known: PeerAddresses[] = []
  const meet = (port: number) => {
    known.push({ peer: `peer-${port}`, addresses: [multiaddr(`/ip4/127.0.0.1/tcp/${port}`)] })
    libp2p.dispatchEvent(new Event('peer:identify'))
  }
  const lines = async () => (await readFile(path, 'utf8').catch(() => '')).split('\n').length - 1
  const keeper = createPeerstoreKeeper({
    libp2p,
    peers: async () => known,
    path,
    clock,
    logger: silentLogger,
  })
  const stop = new AbortController()
  const running = keeper.run(stop.signal)

  meet(1)
  await waitFor(async () => (await lines()) === 1 && clock.pending === 1)
  meet(2)
  meet(3)
  await clock.advance(999)
  assert.equal(await lines(), 1)
  await clock.advance(1)
  await waitFor(async () => (await lines()) === 3)
  stop.abort()
  await assert.rejects(running, { name: 'AbortError' })
})
