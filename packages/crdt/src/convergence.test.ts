/** Whole replicas over a simulated network: whatever happens to messages and processes, all end in the same state. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { prefixRange, toHex, utf8 } from '@ipfs-cluster/base'
import * as fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { PREFIX } from './layout.ts'
import type { MergeNode } from './merge.ts'
import { decodeNode, linkOf } from './node.ts'
import { createCrashableStore, model, settle, TestNetwork, type Replica } from './test-support.ts'
import type { Crdt, CrdtOp } from './types.ts'

const put = (key: string, value: string): CrdtOp => ({ type: 'put', key, value: utf8(value) })
const headsOf = (crdt: Crdt) => crdt.stats().heads.map(({ cid }) => cid.toString())

type Step =
  | { readonly type: 'commit'; readonly peer: number; readonly ops: readonly CrdtOp[] }
  | { readonly type: 'deliver'; readonly peer: number; readonly index: number; readonly twice: boolean }
  | { readonly type: 'lose'; readonly peer: number }
  | { readonly type: 'partition'; readonly side: number }
  | { readonly type: 'crash'; readonly peer: number }
  | { readonly type: 'wait'; readonly turns: number }

const PEERS = 3
const peerIndex = fc.nat({ max: PEERS - 1 })
const op = fc.oneof(
  fc.record({
    type: fc.constant('put' as const),
    key: fc.constantFrom('/a', '/b', '/c'),
    value: fc.uint8Array({ maxLength: 2 }),
  }),
  fc.record({ type: fc.constant('delete' as const), key: fc.constantFrom('/a', '/b', '/c') }),
)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('commit' as const),
      peer: peerIndex,
      ops: fc.array(op, { minLength: 1, maxLength: 3 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('deliver' as const),
      peer: peerIndex,
      index: fc.nat({ max: 3 }),
      twice: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('lose' as const), peer: peerIndex }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('partition' as const), side: fc.nat({ max: 2 ** PEERS - 1 }) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('crash' as const), peer: peerIndex }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('wait' as const), turns: fc.nat({ max: 4 }) }) },
)

/** What each key should be, from nothing but the nodes that exist; and which of them nobody links to. */
async function modelOf(replicas: readonly Replica[]): Promise<{ values: unknown; heads: string[] }> {
  const nodes = new Map<string, MergeNode>()
  const linked = new Set<string>()
  for (const { store } of replicas) {
    for await (const [key, data] of store.entries(prefixRange(PREFIX.block))) {
      const digest = key.slice(PREFIX.block.length)
      const hash = { code: 0x12, digest, size: 32, bytes: Uint8Array.of(0x12, 32, ...digest) }
      const node = decodeNode(linkOf(CID.createV1(0x70, hash)) ?? assert.fail(), data)
      nodes.set(node.cid.toString(), node)
      for (const { cid } of node.links) linked.add(cid.toString())
    }
  }
  return {
    values: Object.entries(model([...nodes.values()])),
    heads: [...nodes.keys()].filter(cid => !linked.has(cid)).sort(),
  }
}

test('replicas converge to the model after any partitions, losses, duplications, reorderings and crashes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 40 }),
      fc.nat(),
      fc.boolean(),
      async (steps, seed, batching) => {
        const network = new TestNetwork(seed)
        const config = batching ? { batching: { maxOps: 4, maxAgeMs: 3_000 } } : {}
        for (let i = 0; i < PEERS; i++) await network.add(config, { store: createCrashableStore() })
        const acknowledged = await play(network, steps, config)
        // Heal: everything becomes reachable and the rebroadcasts do the rest.
        network.reachable = () => true
        for (let i = 0; i < 6; i++) {
          await network.clock.advance(60_000)
          for (const replica of network.replicas) while (replica.inbox.length > 0) network.deliver(replica)
          await settle()
        }
        const expected = await modelOf(network.replicas)
        for (const { crdt, store } of network.replicas) {
          const values: unknown[] = []
          for await (const [key, value] of crdt.entries()) values.push([key, toHex(value)])
          assert.deepEqual(values, expected.values)
          assert.deepEqual(headsOf(crdt).sort(), expected.heads)
          assert.equal(crdt.stats().frontier, 0)
          for await (const _ of store.keys(prefixRange(PREFIX.frontier)))
            assert.fail('a frontier row is left')
        }
        for (const key of acknowledged) {
          assert.ok(await network.replicas[0]?.crdt.get(key), `acknowledged ${key} is lost`)
        }
        await network.close()
      },
    ),
    { numRuns: 60 },
  )
})

/** Returns keys put once, acknowledged, and never deleted. */
async function play(network: TestNetwork, steps: readonly Step[], config: object): Promise<string[]> {
  const acknowledged: string[] = []
  for (const [i, current] of steps.entries()) {
    if (current.type === 'partition') {
      const side = (replica: Replica) => (current.side >> network.replicas.indexOf(replica)) & 1
      network.reachable = (to, from) => side(to) === side(from)
      continue
    }
    if (current.type === 'wait') {
      await settle(current.turns)
      continue
    }
    const replica = network.replicas[current.peer] ?? assert.fail()
    if (current.type === 'commit') {
      const unique = `/unique-${i}`
      replica.crdt.commit([put(unique, 'x'), ...current.ops]).then(
        () => acknowledged.push(unique),
        () => undefined,
      )
    } else if (current.type === 'deliver') {
      const index = Math.min(current.index, replica.inbox.length - 1)
      const message = replica.inbox[index]
      if (message === undefined) continue
      network.deliver(replica, index)
      if (current.twice) replica.handler?.(message)
    } else if (current.type === 'lose') {
      replica.inbox.shift()
    } else {
      // The old process may still run, but nothing that it does gets into the store any more.
      replica.store = replica.store.crash()
      replica.crdt = await network.open(replica, config)
    }
  }
  await settle()
  return acknowledged
}
