import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runProcess } from '@ipfs-cluster/testkit'

test('the example of the library runs, and ends by itself', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'library-'))
  const example = fileURLToPath(new URL('../../packages/peer/examples/library.ts', import.meta.url))
  const { code, stdout, stderr } = await runProcess(process.execPath, [example, folder])
  assert.equal(code, 0, stderr)
  assert.match(stdout, /added Qm\w+\nthe gateway says: Hello from a cluster peer inside a program\.\n$/)
  await rm(folder, { recursive: true })
})
