import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMeter, refusalsOf } from '@ipfs-cluster/base'
import type { CrdtNode } from '@ipfs-cluster/crdt'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { CONCURRENT_READS, MAX_AHEAD, MAX_AHEAD_BYTES, MAX_CALLS_PER_PEER, MAX_WANTS } from './bulk-limits.ts'
import { BulkServer } from './bulk-server.ts'
import { ConsensusError } from './errors.ts'
import { requestOf, serverOf, testChain, testNode } from './test-nodes.ts'

const everything = { ahead: Number.MAX_SAFE_INTEGER, aheadBytes: Number.MAX_SAFE_INTEGER }

async function ask(
  server: BulkServer,
  wants: readonly CrdtNode[],
  { ahead = 0, aheadBytes = everything.aheadBytes } = {},
) {
  const request = { wants: wants.map(({ cid }) => cid), ahead, aheadBytes }
  return await Array.fromAsync(server.serve('peer', requestOf(request)))
}

const cids = (items: readonly { readonly cid: CID }[]) => items.map(({ cid }) => cid.toString())

const isLimit = (reason: string) => (error: unknown) =>
  error instanceof ConsensusError &&
  error.data.code === 'CONSENSUS_BLOCKS_LIMIT' &&
  error.data.reason === reason

test('a chain comes from the wanted node down, as far as it is asked ahead', async () => {
  const chain = testChain(50)
  const server = serverOf(chain)
  for (const ahead of [0, 1, 20, 1000]) {
    const replies = await ask(server, chain.slice(5, 6), { ahead })
    assert.deepEqual(cids(replies), cids(chain.slice(5, 6 + ahead)))
    assert.deepEqual(replies[0]?.data, chain[5]?.data)
  }
})

test('links that skip far down change nothing: the highest come first, without gaps', async () => {
  const dag: CrdtNode[] = []
  for (let i = 0; i < 100; i++) {
    const links = [1, ...(i % 8 === 0 ? [8] : []), ...(i % 32 === 0 ? [32] : [])].map(steps => dag[i - steps])
    dag.push(
      testNode(
        i + 1,
        links.filter(node => node !== undefined),
      ),
    )
  }
  const ordered = dag.toReversed()
  const server = serverOf(dag)
  assert.deepEqual(cids(await ask(server, ordered.slice(0, 1), { ahead: 60 })), cids(ordered.slice(0, 61)))
  const [high, low] = [ordered[3] ?? assert.fail(), ordered[90] ?? assert.fail()]
  const replies = await ask(server, [low, high], everything)
  assert.deepEqual(cids(replies), cids([low, high, ...ordered.slice(4).filter(node => node !== low)]))
})

test('branches come side by side, none twice, and what is missing is passed over', async () => {
  const root = testChain(3)
  const left = testNode(4, root.slice(0, 1), 'left')
  const right = testNode(4, root.slice(0, 1), 'right')
  const lost = testNode(4, root.slice(0, 1), 'lost')
  const head = testNode(5, [left, right, lost])
  const replies = await ask(serverOf([...root, left, right, head]), [head], everything)
  const [first, ...rest] = cids(replies)
  assert.equal(first, head.cid.toString())
  assert.deepEqual(rest.slice(0, 2).sort(), cids([left, right]).sort())
  assert.deepEqual(rest.slice(2), cids(root))
  const both = await ask(serverOf([...root, left, right]), [left, right, left], everything)
  assert.deepEqual(cids(both), cids([left, right, ...root]))
})

test('of a wanted node that it lacks it says so', async () => {
  const chain = testChain(3)
  const foreign = { cid: CID.createV1(0x55, Digest.create(0x12, new Uint8Array(32))) } as CrdtNode
  const replies = await ask(serverOf(chain.slice(1)), [...chain.slice(0, 2), foreign])
  assert.deepEqual(new Set(cids(replies)), new Set(cids([...chain.slice(0, 2), foreign])))
  const lengths = new Map(replies.map(({ cid, data }) => [cid.toString(), data.length]))
  assert.deepEqual(
    [...chain.slice(0, 2), foreign].map(({ cid }) => lengths.get(cid.toString())),
    [0, chain[1]?.data.length, 0],
  )
})

test('it sends ahead no more than it is asked for, nor than it may', async () => {
  const chain = testChain(10)
  const size = chain[5]?.data.length ?? 0
  const some = await ask(serverOf(chain), chain.slice(0, 1), { ahead: 9, aheadBytes: 3 * size + 1 })
  assert.equal(some.length, 4)
  const long = testChain(MAX_AHEAD + 10, '', 1)
  assert.equal((await ask(serverOf(long), long.slice(0, 1), everything)).length, MAX_AHEAD + 1)
  const fat = testChain(12, '', 1024 * 1024)
  const sent = await ask(serverOf(fat), fat.slice(0, 1), everything)
  assert.equal(sent.length, 1 + Math.floor(MAX_AHEAD_BYTES / (fat[5]?.data.length ?? 0)))
  for (const ahead of [-1, -Infinity]) {
    assert.equal((await ask(serverOf(chain), chain.slice(0, 1), { ahead })).length, 1)
  }
})

test('too many wants and too many calls of one peer at once are refused and counted', async () => {
  const meter = createMeter()
  const chain = testChain(MAX_WANTS + 1, '', 1)
  const server = serverOf(chain, refusalsOf(meter, 'bulk'))
  await assert.rejects(ask(server, chain), isLimit('too_many_wants'))
  const request = { wants: [chain[0]?.cid ?? assert.fail()], ahead: 0, aheadBytes: 0 }
  const open = Array.from({ length: MAX_CALLS_PER_PEER }, () => server.serve('greedy', requestOf(request)))
  for (const call of open) await call.next()
  await assert.rejects(server.serve('greedy', requestOf(request)).next(), isLimit('too_many_calls'))
  assert.equal((await server.serve('modest', requestOf(request)).next()).done, false)
  await open[0]?.return(undefined)
  assert.equal((await server.serve('greedy', requestOf(request)).next()).done, false)
  const counted = meter.collect().flatMap(({ samples }) => samples)
  assert.deepEqual(
    counted.map(({ labels, value }) => [labels['protocol'], labels['reason'], value]),
    [
      ['bulk', 'too_many_wants', 1],
      ['bulk', 'too_many_calls', 1],
    ],
  )
})

test('it reads few at once, and stops when the caller leaves', async () => {
  const roots = Array.from({ length: 40 }, (_, i) => testNode(1, [], `root ${i} `))
  const head = testNode(2, roots)
  const byCid = new Map([head, ...roots].map(({ cid, data }) => [cid.toString(), data]))
  let reading = 0
  let most = 0
  let reads = 0
  const block = async (cid: CID) => {
    reads++
    most = Math.max(most, ++reading)
    await new Promise(resolve => setImmediate(resolve))
    reading--
    return byCid.get(cid.toString())
  }
  const server = new BulkServer({ block, refusals: { count: () => undefined } })
  assert.equal((await ask(server, [head], everything)).length, 41)
  assert.equal(most, CONCURRENT_READS)
  reads = 0
  const caller = new AbortController()
  const call = server.serve('peer', requestOf({ wants: [head.cid], ...everything }), {
    signal: caller.signal,
  })
  await call.next()
  await call.next()
  caller.abort(new Error('gone'))
  await assert.rejects(call.next(), /gone/)
  assert.ok(reads <= 1 + CONCURRENT_READS)
})
