import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { TRACKER_STATUS, type PinInfo } from '@ipfs-cluster/api'
import { compareBytes, toHex } from '@ipfs-cluster/base'
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { identity } from 'multiformats/hashes/identity'
import { createScratch } from './scratch-store.ts'
import { scratchInMemory, sortedByCid, type OpenScratch } from './sort-by-cid.ts'

const PEER = '12D3KooWGMaoXmVRE8v4pAPPHSdC9yqMgrd8UPtQcu279ytr9nQN'
const cidOf = (n: number) => CID.createV1(raw.code, identity.digest(Uint8Array.of(n >> 8, n & 255)))

const info = (n: number): PinInfo => ({
  cid: cidOf(n),
  name: `pin ${n}`,
  peer: PEER,
  allocations: [PEER],
  origins: [],
  created: 1_000_000_000n,
  metadata: null,
  peerName: 'one',
  ipfs: '',
  ipfsAddresses: [],
  status: TRACKER_STATUS.pinned,
  ts: 1_000_000_000n,
  error: '',
  attemptCount: 0,
  priorityPin: false,
})

async function* listOf(numbers: readonly number[]) {
  for (const n of numbers) yield info(n)
}

const sorted = async (numbers: readonly number[], scratch: OpenScratch, memoryBytes: number) =>
  (await Array.fromAsync(sortedByCid(listOf(numbers), scratch, {}, memoryBytes))).flat()

test('a list comes in the order of its CIDs, each once, whether it fits in memory or not', async () => {
  const lists = fc.array(fc.nat(65_535), { maxLength: 600 })
  await fc.assert(
    fc.asyncProperty(lists, fc.constantFrom(1, 20_000, 1e9), async (numbers, memoryBytes) => {
      const expected = [...new Set(numbers)].sort((a, b) => compareBytes(cidOf(a).bytes, cidOf(b).bytes))
      const found = await sorted(numbers, scratchInMemory, memoryBytes)
      assert.deepEqual(
        found.map(({ cid }) => toHex(cid.bytes)),
        expected.map(n => toHex(cidOf(n).bytes)),
      )
    }),
    { numRuns: 30 },
  )
  assert.deepEqual(await sorted([7], scratchInMemory, 1), [info(7)])
})

test('what waits on the disk is removed, also when the list fails, and what a crash left behind', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'sort-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const place = join(folder, 'scratch')
  await mkdir(join(place, 'sort-left'), { recursive: true })
  const scratch = await createScratch(place)
  const numbers = Array.from({ length: 2_000 }, (_, n) => (n * 7919) % 2_000)
  assert.deepEqual(
    (await sorted(numbers, scratch, 10_000)).map(({ name }) => name),
    numbers.map((_, n) => `pin ${n}`),
  )
  assert.deepEqual(await readdir(place), [])
  async function* failing() {
    yield* listOf(numbers)
    throw new Error('cut off')
  }
  await assert.rejects(Array.fromAsync(sortedByCid(failing(), scratch, {}, 10_000)), /cut off/)
  for await (const _batch of sortedByCid(listOf(numbers), scratch, {}, 10_000)) break
  assert.deepEqual(await readdir(place), [])
})
