import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TRACKER_STATUS, type PinInfo } from '@ipfs-cluster/api'
import { compareBytes, errorMessage, toHex } from '@ipfs-cluster/base'
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { identity } from 'multiformats/hashes/identity'
import {
  factsOf,
  failedPeer,
  mergeStatus,
  shortOf,
  type MergedStatus,
  type MergeOptions,
  type ReportedStatus,
  type StatusSource,
} from './merge-status.ts'

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

function report(peer: string, n: number): ReportedStatus {
  const item = info(peer, n)
  return { cid: item.cid.bytes, status: shortOf(item), facts: factsOf(item) }
}

/** In batches of `size`, the way that lists come. */
async function* listOf(
  peer: string,
  numbers: readonly number[],
  failure?: Error,
  size = 2,
): AsyncGenerator<readonly ReportedStatus[]> {
  for (let from = 0; from < numbers.length; from += size) {
    yield numbers.slice(from, from + size).map(n => report(peer, n))
    yield []
  }
  if (failure !== undefined) throw failure
}

const merge = async (sources: readonly StatusSource[]) =>
  (await Array.fromAsync(mergeStatus(sources, OPTIONS))).flat()

const OPTIONS: MergeOptions = {
  describeFailure: (_peer, error) =>
    failedPeer({ peerName: '', ipfs: '', ipfsAddresses: [] }, errorMessage(error), 2n),
  ignoreFailure: error => error.message === 'unauthorized',
  stop: () => undefined,
}

const peersOf = (item: MergedStatus | undefined) => Object.keys(item?.peerMap ?? {}).sort()

test('every CID comes once, in order, with every peer that has it', async () => {
  const lists = fc.array(fc.tuple(fc.uniqueArray(fc.nat(60)), fc.integer({ min: 1, max: 9 })), {
    minLength: 1,
    maxLength: 5,
  })
  const inOrder = (a: number, b: number) => compareBytes(cidOf(a).bytes, cidOf(b).bytes)
  await fc.assert(
    fc.asyncProperty(lists, async given => {
      const sources = given.map(([list, size], i) => ({
        peer: `p${i}`,
        batches: listOf(`p${i}`, list.toSorted(inOrder), undefined, size),
      }))
      const merged = await merge(sources)
      const expected = [...new Set(given.flatMap(([list]) => list))].sort(inOrder)
      assert.deepEqual(
        merged.map(item => toHex(item.cid)),
        expected.map(n => toHex(cidOf(n).bytes)),
      )
      for (const [at, item] of merged.entries()) {
        const n = expected[at] as number
        const holders = given.flatMap(([list], i) => (list.includes(n) ? [`p${i}`] : []))
        assert.deepEqual(peersOf(item), holders.sort())
        assert.equal(item.facts?.name, `pin ${n}`)
      }
    }),
    { numRuns: 100 },
  )
})

test('a peer that fails is cluster_error from there on; one that does not trust us is left out', async () => {
  const sources = [
    { peer: 'good', batches: listOf('good', [1, 2, 3]) },
    { peer: 'down', batches: listOf('down', [], new Error('no route')) },
    { peer: 'halfway', batches: listOf('halfway', [1, 2], new Error('cut off')) },
    { peer: 'stranger', batches: listOf('stranger', [], new Error('unauthorized')) },
  ]
  const merged = await merge(sources)
  assert.deepEqual(merged.map(peersOf), [
    ['down', 'good', 'halfway'],
    ['down', 'good', 'halfway'],
    ['down', 'good', 'halfway'],
  ])
  assert.equal(merged[0]?.peerMap['down']?.error, 'no route')
  assert.equal(merged[0]?.peerMap['halfway']?.status, TRACKER_STATUS.pinned)
  assert.equal(merged[2]?.peerMap['halfway']?.status, TRACKER_STATUS.cluster_error)
})

test('what is known is told before a list is waited for', async () => {
  const gate = Promise.withResolvers<void>()
  async function* late() {
    yield [report('late', 1)]
    await gate.promise
    yield [report('late', 3)]
  }
  const merged = mergeStatus(
    [
      { peer: 'late', batches: late() },
      { peer: 'quick', batches: listOf('quick', [1, 2, 3]) },
    ],
    OPTIONS,
  )
  const first = await merged.next()
  assert.equal(first.done, false)
  assert.deepEqual((first.value as readonly MergedStatus[]).map(peersOf), [['late', 'quick']])
  gate.resolve()
  assert.deepEqual((await Array.fromAsync(merged)).flat().map(peersOf), [['quick'], ['late', 'quick']])
})

test('nothing comes when no peer reported anything, and sources are closed when the consumer leaves', async () => {
  assert.deepEqual(await merge([{ peer: 'down', batches: listOf('down', [], new Error('x')) }]), [])
  let closed = 0
  async function* endless(): AsyncGenerator<readonly ReportedStatus[]> {
    try {
      for (let n = 0; ; n++) yield [report('e', n)]
    } finally {
      closed++
    }
  }
  for await (const _item of mergeStatus([{ peer: 'e', batches: endless() }], OPTIONS)) break
  assert.equal(closed, 1)
})
