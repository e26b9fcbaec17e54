import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createManualClock } from '@ipfs-cluster/testkit'
import type { CID } from 'multiformats/cid'
import { createStatusAsker } from './ask-status.ts'
import { B, C, cidOf, member, numberOf, range, trackerOf } from './test-members.ts'

function setUp(go: readonly string[] = []) {
  const clock = createManualClock()
  const calls: string[] = []
  const kinds = new Set(go)
  const rpc = {
    async call(peer: string, { method }: { readonly method: string }, arg: CID | CID[]) {
      const cids = [arg].flat() as CID[]
      calls.push(`${method} ${cids.length}`)
      if (method === 'StatusEach' && kinds.has(peer))
        throw new Error("rpc: can't find method PinTracker.StatusEach")
      const infos = await trackerOf(peer, member(range(100))).statusMany(cids)
      return method === 'Status' ? infos[0] : infos
    },
  }
  const network = { rpc } as unknown as Parameters<typeof createStatusAsker>[0]['network']
  return { ask: createStatusAsker({ network, clock }), calls, kinds, clock }
}

const askAll = async (ask: ReturnType<typeof createStatusAsker>, peer: string, count: number) =>
  (await Promise.all(range(count).map(n => ask(peer, cidOf(n))))).map(numberOf)

test('questions of one turn go to a peer in one call', async () => {
  const { ask, calls } = setUp()
  const [b, c] = await Promise.all([askAll(ask, B, 30), askAll(ask, C, 1)])
  assert.deepEqual([b, c], [range(30), range(1)])
  assert.deepEqual(calls.sort(), ['Status 1', 'StatusEach 30'])
})

test('a Go peer is asked one by one, and again for many when it may have been replaced', async () => {
  const { ask, calls, kinds, clock } = setUp([B])
  assert.deepEqual(await askAll(ask, B, 3), range(3))
  assert.deepEqual(calls.splice(0), ['StatusEach 3', 'Status 1', 'Status 1', 'Status 1'])
  await askAll(ask, B, 3)
  assert.deepEqual(calls.splice(0), ['Status 1', 'Status 1', 'Status 1'])
  kinds.delete(B)
  await clock.advance(60_001)
  await askAll(ask, B, 3)
  assert.deepEqual(calls, ['StatusEach 3'])
})

test('who gives up waits no longer', async () => {
  const { ask } = setUp()
  const stop = new AbortController()
  const asked = ask(B, cidOf(1), { signal: stop.signal })
  stop.abort(new Error('enough'))
  await assert.rejects(asked, /enough/)
})
