import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TRACKER_STATUS, type GlobalPinInfo, type PinInfo } from '@ipfs-cluster/api'
import { compareBytes, errorMessage } from '@ipfs-cluster/base'
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { identity } from 'multiformats/hashes/identity'
import { failedPeer, mergeStatus, sortedByCid, type MergeOptions } from './merge-status.ts'

const cidOf = (n: number) => CID.createV1(raw.code, identity.digest(Uint8Array.of(n)))

function info(peer: string, n: number): PinInfo {
  return {
    cid: cidOf(n),
    name: `pin ${n}`,
    peer,
    allocations: [],
    origins: [],
    created: 1n,
    metadata: null,
    peerName: peer,
    ipfs: '',
    ipfsAddresses: [],
    status: TRACKER_STATUS.pinned,
    ts: 1n,
    error: '',
    attemptCount: 0,
    priorityPin: false,
  }
}

async function* listOf(peer: string, numbers: readonly number[], failure?: Error): AsyncGenerator<PinInfo> {
  for (const n of numbers) yield info(peer, n)
  if (failure !== undefined) throw failure
}

const OPTIONS: MergeOptions = {
  describeFailure: (_peer, error) =>
    failedPeer({ peerName: '', ipfs: '', ipfsAddresses: [] }, errorMessage(error), 2n),
  ignoreFailure: error => error.message === 'unauthorized',
  stop: () => undefined,
}

const peersOf = (item: GlobalPinInfo | undefined) => Object.keys(item?.peerMap ?? {}).sort()

test('every CID comes once, in order, with every peer that has it', async () => {
  const lists = fc.array(fc.uniqueArray(fc.nat(60)), { minLength: 1, maxLength: 5 })
  await fc.assert(
    fc.asyncProperty(lists, async numbers => {
      const sources = numbers.map((list, i) => ({ peer: `p${i}`, items: sortedByCid(listOf(`p${i}`, list)) }))
      const merged = await Array.fromAsync(mergeStatus(sources, OPTIONS))
      const expected = [...new Set(numbers.flat())].map(cidOf).sort((a, b) => compareBytes(a.bytes, b.bytes))
      assert.deepEqual(
        merged.map(item => item.cid.toString()),
        expected.map(String),
      )
      for (const item of merged) {
        const holders = numbers.flatMap((list, i) =>
          list.some(n => cidOf(n).equals(item.cid)) ? [`p${i}`] : [],
        )
        assert.deepEqual(peersOf(item), holders.sort())
      }
    }),
    { numRuns: 100 },
  )
})

test('a peer that fails is cluster_error from there on; one that does not trust us is left out', async () => {
  const sources = [
    { peer: 'good', items: listOf('good', [1, 2, 3]) },
    { peer: 'down', items: listOf('down', [], new Error('no route')) },
    { peer: 'halfway', items: listOf('halfway', [1, 2], new Error('cut off')) },
    { peer: 'stranger', items: listOf('stranger', [], new Error('unauthorized')) },
  ]
  const merged = await Array.fromAsync(mergeStatus(sources, OPTIONS))
  assert.deepEqual(merged.map(peersOf), [
    ['down', 'good', 'halfway'],
    ['down', 'good', 'halfway'],
    ['down', 'good', 'halfway'],
  ])
  assert.equal(merged[0]?.peerMap['down']?.error, 'no route')
  assert.equal(merged[0]?.peerMap['halfway']?.status, TRACKER_STATUS.pinned)
  assert.equal(merged[2]?.peerMap['halfway']?.status, TRACKER_STATUS.cluster_error)
})

test('nothing comes when no peer reported anything, and sources are closed when the consumer leaves', async () => {
  assert.deepEqual(
    await Array.fromAsync(
      mergeStatus([{ peer: 'down', items: listOf('down', [], new Error('x')) }], OPTIONS),
    ),
    [],
  )
  let closed = 0
  async function* endless(): AsyncGenerator<PinInfo> {
    try {
      for (let n = 0; ; n++) yield info('e', n)
    } finally {
      closed++
    }
  }
  for await (const _item of mergeStatus([{ peer: 'e', items: endless() }], OPTIONS)) break
  assert.equal(closed, 1)
})
