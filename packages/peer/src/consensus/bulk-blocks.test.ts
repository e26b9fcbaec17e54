import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, test } from 'node:test'
import { createMeter, createTaskScope, refusalsOf, silentLogger } from '@ipfs-cluster/base'
import { linkOf, type CrdtNode, type NodeLink } from '@ipfs-cluster/crdt'
import { RpcError, type RpcClient } from '@ipfs-cluster/gorpc'
import { createManualClock } from '@ipfs-cluster/testkit'
import { CID } from 'multiformats/cid'
import type { BlocksReply, BlocksRequest } from '../net/index.ts'
import { BulkBlocks } from './bulk-blocks.ts'
import {
  KNOWN_IN_A_ROW,
  MAX_WANTS,
  MIN_AHEAD,
  MIN_PAUSE_MS,
  PREFETCH_IDLE_MS,
  STALL_MS,
} from './bulk-limits.ts'
import { requestOf, serverOf, testChain, testNode } from './test-nodes.ts'

type Serve = (request: BlocksRequest, signal: AbortSignal) => AsyncIterable<BlocksReply>

const honest = (nodes: readonly CrdtNode[]): Serve => {
  const server = serverOf(nodes)
  return (request, signal) => server.serve('us', requestOf(request), { signal })
}

const goPeer: Serve = () => {
  throw new RpcError("rpc: can't find method Blocks", {
    code: 'RPC_PROTOCOL',
    peer: 'go',
    method: 'Consensus.Blocks',
  })
}

async function untilAborted(signal: AbortSignal): Promise<never> {
  return await new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })
}

/** Peers by name, and the side that fetches from them. */
function createWorld(peers: Record<string, Serve>, has: (link: NodeLink) => boolean = () => false) {
  const calls: { readonly peer: string; readonly wants: number; readonly ahead: number }[] = []
  const stopped: string[] = []
  /** Replies of each call. */
  const sent: number[] = []
  const meter = createMeter()
  const rpc: Pick<RpcClient, 'stream'> = {
    async *stream(peer, _method, args, { signal = new AbortController().signal } = {}) {
      let finished = false
      try {
        for await (const arg of args) {
          const request = arg as BlocksRequest
          const call = calls.length
          calls.push({ peer, wants: request.wants.length, ahead: request.ahead })
          const replies = peers[peer]?.(request, signal) ?? assert.fail(peer)
          for await (const reply of replies) {
            await turn()
            signal.throwIfAborted()
            sent[call] = (sent[call] ?? 0) + 1
            yield reply as never
          }
        }
        finished = true
      } finally {
        if (!finished) stopped.push(peer)
      }
    },
  }
  const clock = createManualClock()
  const scope = createTaskScope(silentLogger)
  const bulk = new BulkBlocks({
    network: { peerId: 'us', connectedPeers: () => ['us', ...Object.keys(peers)], rpc: rpc as RpcClient },
    has: cid => Promise.resolve(has(linkOf(cid) ?? assert.fail())),
    clock,
    logger: silentLogger,
    scope,
    refusals: refusalsOf(meter, 'bulk'),
  })
  const refused = () =>
    meter.collect().flatMap(({ samples }) => samples.map(({ labels, value }) => [labels['reason'], value]))
  const get = async (node: NodeLink, providers = Object.keys(peers)) =>
    bulk.take(node) ?? (await bulk.get(node, { providers }))
  /** Lets calls run until they wait for something. */
  const rest = async () => {
    for (let i = 0; i < 100; i++) await turn()
  }
  /** A question to a provider that never answered yet: nobody waits for it. */
  const meet = async (node: NodeLink, providers?: string[]) => {
    assert.equal(await get(node, providers), undefined)
    await rest()
  }
  return {
    bulk,
    get,
    meet,
    rest,
    sent: () => sent,
    calls,
    stopped,
    refused,
    clock,
    [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose](),
  }
}

describe('a walk', () => {
  test('down a chain takes few calls: each brings several times as much', async () => {
    const chain = testChain(1000)
    await using world = createWorld({ a: honest(chain) })
    await world.meet(chain[0] ?? assert.fail())
    for (const node of chain.slice(1)) assert.deepEqual(await world.get(node), node.data)
    assert.deepEqual(
      world.calls.map(({ ahead }) => ahead),
      [16, 64, 256, 1024],
    )
    const [, again = assert.fail()] = chain
    assert.equal(world.bulk.take(again), undefined, 'nodes are kept until they are asked for')
  })

  test('that asks for many at once makes one call of them', async () => {
    const roots = Array.from({ length: MAX_WANTS + 10 }, (_, i) => testNode(1, [], `root ${i} `))
    await using world = createWorld({ a: honest(roots) })
    await world.meet(roots[0] ?? assert.fail())
    const found = await Promise.all(roots.map(node => world.get(node)))
    assert.deepEqual(
      found,
      roots.map(({ data }) => data),
    )
    assert.deepEqual(
      world.calls.map(({ wants }) => wants),
      [1, MAX_WANTS, 10],
    )
  })

  test('faster than the stream waits for it, rather than asking again', async () => {
    const chain = testChain(MIN_AHEAD + 1)
    const stranger = testNode(1, [], 'stranger ')
    await using world = createWorld({ a: honest([stranger, ...chain]) })
    await world.meet(stranger)
    const first = world.get(chain[0] ?? assert.fail())
    await turn()
    await turn()
    const rest = chain.slice(1).map(node => world.get(node))
    assert.deepEqual(
      await Promise.all([first, ...rest]),
      chain.map(({ data }) => data),
    )
    assert.equal(world.calls.length, 2)
  })

  test('ends the call where it meets what is here, and reads less far ahead then', async () => {
    const chain = testChain(400)
    const known = new Set(chain.slice(20).map(({ id }) => id))
    await using world = createWorld({ a: honest(chain) }, ({ id }) => known.has(id))
    await world.meet(chain[0] ?? assert.fail())
    for (const node of chain.slice(1, 20)) assert.deepEqual(await world.get(node), node.data)
    for (const node of [chain[100], chain[200]]) {
      await world.rest()
      assert.ok(await world.get(node ?? assert.fail()))
    }
    await world.rest()
    assert.deepEqual(world.stopped, ['a', 'a', 'a'])
    assert.deepEqual(
      world.calls.map(({ ahead }) => ahead),
      [16, 64, 32, 16],
    )
    assert.deepEqual(world.sent(), [17, 3 + KNOWN_IN_A_ROW, 1 + KNOWN_IN_A_ROW, 1 + KNOWN_IN_A_ROW])
  })

  test('that ends leaves nothing behind', async () => {
    const chain = testChain(10)
    await using world = createWorld({ a: honest(chain) })
    await world.meet(chain[0] ?? assert.fail())
    await world.clock.advance(PREFETCH_IDLE_MS - 1)
    assert.ok(world.bulk.take(chain[1] ?? assert.fail()))
    await world.clock.advance(PREFETCH_IDLE_MS - 1)
    assert.ok(world.bulk.take(chain[2] ?? assert.fail()))
    await world.clock.advance(PREFETCH_IDLE_MS)
    assert.equal(world.bulk.take(chain[3] ?? assert.fail()), undefined)
    assert.equal(world.clock.pending, 0)
  })
})

describe('a provider', () => {
  test('that does not know the method is asked again only after a pause', async () => {
    const chain = testChain(3)
    await using world = createWorld({ go: goPeer })
    for (const node of chain) await world.meet(node)
    assert.equal(world.calls.length, 1)
    await world.clock.advance(MIN_PAUSE_MS)
    await world.get(chain[0] ?? assert.fail())
    await world.clock.advance(MIN_PAUSE_MS)
    await world.get(chain[0] ?? assert.fail())
    assert.equal(world.calls.length, 2)
    assert.deepEqual(world.refused(), [], 'a Go peer has done nothing wrong')
  })

  test('is found behind those that do not know the method', async () => {
    const chain = testChain(20)
    await using world = createWorld({ go: goPeer, other: goPeer, ours: honest(chain) })
    const hints = ['go', 'ours']
    await world.meet(chain[0] ?? assert.fail(), hints)
    await world.meet(chain[1] ?? assert.fail(), hints)
    for (const node of chain.slice(2)) assert.deepEqual(await world.get(node, hints), node.data)
    assert.deepEqual(
      world.calls.map(({ peer }) => peer),
      ['go', 'ours', 'ours'],
    )
  })

  test('that lacks a node says so at once, and is left alone when it has nothing', async () => {
    const chain = testChain(40)
    await using world = createWorld({ a: honest(chain.slice(0, 10)) })
    await world.meet(chain[0] ?? assert.fail())
    for (const node of chain.slice(1, 10)) assert.ok(await world.get(node))
    for (const node of chain.slice(10)) assert.equal(await world.get(node), undefined)
    assert.equal(world.calls.length, 2)
    assert.deepEqual(world.refused(), [])
  })

  test('that lies is left at once, and counted', async () => {
    const chain = testChain(10)
    const cid = chain[0]?.cid ?? assert.fail()
    const rootCid = chain[9]?.cid ?? assert.fail()
    const lies: Record<string, () => AsyncIterable<BlocksReply>> = {
      wrong_hash: () => requestOf({ cid, data: Uint8Array.of(1) }),
      no_node: () => requestOf({ cid: CID.createV1(0x55, cid.multihash), data: Uint8Array.of(1) }),
      more_than_asked: async function* () {
        for (let i = 0; i <= MIN_AHEAD; i++) yield testNode(1, [], `spam ${i} `)
      },
      not_asked_for: async function* () {
        while (true) yield { cid: rootCid, data: new Uint8Array(0) }
      },
    }
    for (const [reason, lie] of Object.entries(lies)) {
      await using world = createWorld({ a: lie })
      await world.meet(chain[0] ?? assert.fail())
      await world.meet(chain[1] ?? assert.fail())
      assert.deepEqual(world.refused(), [[reason, 1]])
      assert.deepEqual(world.calls.length, 1)
      assert.deepEqual(world.stopped, ['a'])
    }
  })

  test('that stalls is given up, whatever it sent before', async () => {
    const chain = testChain(10)
    const stalling: Serve = async function* ({ wants }, signal) {
      yield chain.find(({ cid }) => wants[0]?.equals(cid)) ?? assert.fail()
      await untilAborted(signal)
    }
    await using world = createWorld({ a: stalling })
    await world.meet(chain[0] ?? assert.fail())
    // Wanted while the call is under way: comes with it or goes into the next.
    const second = world.get(chain[1] ?? assert.fail())
    await world.clock.advance(STALL_MS)
    assert.equal(await second, undefined)
    assert.deepEqual(world.refused(), [['stalled', 1]])
    assert.equal(await world.get(chain[2] ?? assert.fail()), undefined)
    assert.equal(world.calls.length, 1)
  })
})

test('a provider that is slower than its caller has time for is given up', async () => {
  const chain = testChain(40)
  const [first = assert.fail()] = chain
  const trickling: Serve = async function* (request, signal) {
    if (request.wants[0]?.equals(first.cid)) yield* honest(chain)(request, signal)
    else {
      // Something comes all the time, never what is wanted.
      for (const node of chain) {
        yield node
        await world.clock.sleep(STALL_MS / 2, { signal })
      }
    }
  }
  await using world = createWorld({ a: trickling })
  await world.meet(first)
  const caller = new AbortController()
  const last = chain.at(-1) ?? assert.fail()
  const left = world.bulk.get(last, { signal: caller.signal, providers: ['a'] })
  await world.clock.advance(STALL_MS)
  caller.abort(new DOMException('no time', 'TimeoutError'))
  await assert.rejects(left, /no time/)
  for (let i = 0; i < 5; i++) await turn()
  assert.equal(await world.get(last), undefined)
  assert.equal(world.calls.length, 2)
  assert.deepEqual(world.stopped, ['a'])
  assert.deepEqual(world.refused(), [['stalled', 1]])
})

test('nobody waits for ever when the peer stops', async () => {
  const chain = testChain(MIN_AHEAD + 2)
  const [first = assert.fail()] = chain
  const world = createWorld({
    a: async function* (request, signal) {
      if (request.wants[0]?.equals(first.cid)) yield* honest(chain)(request, signal)
      else await untilAborted(signal)
    },
  })
  await world.meet(first)
  const waiting = world.get(chain.at(-1) ?? assert.fail())
  await turn()
  await turn()
  await world[Symbol.asyncDispose]()
  assert.equal(await waiting, undefined)
  assert.deepEqual(world.refused(), [])
})
