/** Neighbours that announce what does not exist, or leads nowhere. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import {
  silentLogger,
  toHex,
  createMeter,
  refusalsOf,
  createTaskScope,
  seededRandom,
} from '@ipfs-cluster/base'
import { commitIsFast, element, honestHeadArrives, nodeWith, openVictim, soon } from './hostile-support.ts'
import {
  MAX_ANNOUNCED,
  MAX_ANNOUNCED_OF_PEER,
  MAX_FRONTIER_IN_MEMORY,
  MAX_HEADS,
  MAX_HELD_BYTES,
  MAX_NODE_BYTES,
  MAX_NODE_LINKS,
  MAX_STALLED,
} from './limits.ts'
import { decodeNode, linkOf, linkOfDigest, type CrdtNode, type NodeLink } from './node.ts'
import { defaultCrdtConfig } from './crdt.ts'
import { linkOfData, ManualClock, nodeOf, settle, until } from './test-support.ts'
import { Walker } from './walker.ts'

/** What has just been cut short may be counted still. */
const MOST_FETCHES = 2 * defaultCrdtConfig.fetchConcurrency + MAX_STALLED

/** An announcement of heads that nobody has. */
function nonsenseHeads(count: number): Uint8Array {
  const head = Buffer.from([0x0a, 0x26, 0x0a, 0x24, 1, 0x70, 0x12, 0x20])
  const bytes = randomBytes(count * 40)
  for (let at = 0; at < bytes.length; at += 40) head.copy(bytes, at)
  return bytes
}

const missing = (count: number): NodeLink[] =>
  Array.from({ length: count }, () => linkOfDigest(new Uint8Array(randomBytes(32))))

test('a flood of heads that do not exist is limited by peer, and honest heads come at once', async () => {
  await using victim = await openVictim()
  for (let i = 0; i < 8; i++) {
    victim.sayBytes('mallory', nonsenseHeads(20_000))
    if (i % 3 === 0) await commitIsFast(victim, `/mine-${i}`)
  }
  assert.ok(victim.refused('announced_too_much') >= 2)
  assert.ok(victim.refused('too_many_announced') > 0)
  await honestHeadArrives(victim, 'alice', 'a')
  await commitIsFast(victim, '/last')
  assert.equal(victim.crdt.stats().frontier, MAX_ANNOUNCED_OF_PEER)
  assert.ok(victim.fetches.most <= MOST_FETCHES, `${victim.fetches.most} fetches at once`)
})

test('many peers with heads that do not exist fill a bounded memory, and the newest heads still come', async () => {
  await using victim = await openVictim()
  for (let peer = 0; peer < 12; peer++) victim.sayBytes(`mallory-${peer}`, nonsenseHeads(2_000))
  await soon(() => victim.crdt.stats().frontier === MAX_ANNOUNCED, 'the memory is full')
  await honestHeadArrives(victim, 'alice', 'a')
  assert.ok(victim.crdt.stats().frontier <= MAX_ANNOUNCED)
  assert.ok(victim.refused('too_many_announced') >= 12 * 2_000 - MAX_ANNOUNCED)
})

test('a head that another peer announced among thousands is not behind these when its author announces it', async () => {
  await using victim = await openVictim()
  const good = nodeWith({ elements: [element('/good', '1')] })
  victim.say('mallory', [good.cid])
  victim.sayBytes('mallory', nonsenseHeads(4_000))
  await soon(() => victim.crdt.stats().frontier > 3_000, 'the flood is in')
  victim.deliverable.set(good.id, good.data)
  victim.say('alice', [good.cid])
  await soon(async () => (await victim.crdt.get('/good')) !== undefined, 'the good head')
})

test('thousands of children that never come hold up nobody, of whomever they are, over a restart too', async () => {
  await using victim = await openVictim()
  const wide = [nodeWith({}, missing(MAX_NODE_LINKS)), nodeWith({}, missing(5_000))]
  for (const { id, data } of wide) victim.deliverable.set(id, data)
  victim.say(
    'mallory',
    wide.map(({ cid }) => cid),
  )
  await soon(() => victim.crdt.stats().nodesMerged === 2, 'the wide nodes')
  await honestHeadArrives(victim, 'alice', 'a')
  // Whoever led us there may go on.
  await honestHeadArrives(victim, 'mallory', 'b')
  await commitIsFast(victim, '/mine')
  assert.ok(victim.fetches.most <= MOST_FETCHES)
  assert.equal(victim.metric('ipfscluster_crdt_frontier'), MAX_NODE_LINKS + 5_000)
  assert.ok(MAX_NODE_LINKS > MAX_FRONTIER_IN_MEMORY)
  await victim.restart()
  await soon(() => victim.fetches.running > 0, 'the walk goes on')
  await honestHeadArrives(victim, 'carol', 'c')
  assert.equal(victim.crdt.stats().heads.length, 2, 'ours over those before, and the new one')
  assert.deepEqual(victim.errors, [])
})

test('a deep chain that takes for ever gives every other peer its turn', async () => {
  await using victim = await openVictim()
  let node = nodeWith({})
  victim.deliverable.set(node.id, node.data)
  for (let i = 1; i < 20_000; i++) {
    node = nodeWith({ priority: i + 1 }, [node])
    victim.deliverable.set(node.id, node.data)
  }
  victim.say('mallory', [node.cid])
  await soon(() => victim.crdt.stats().nodesMerged > 10, 'the chain is walked')
  await honestHeadArrives(victim, 'alice', 'a')
  await commitIsFast(victim, '/mine')
  assert.ok(victim.crdt.stats().nodesMerged < 20_000, 'the chain is not at its end')
})

test('heads are limited, who writes on top of what it sees is not, and a write of ours joins them all', async () => {
  await using victim = await openVictim()
  const heads: CrdtNode[] = []
  for (let i = 0; i < MAX_HEADS + 500; i++) heads.push(nodeWith({ priority: i + 1 }))
  for (const { id, data } of heads) victim.deliverable.set(id, data)
  for (let at = 0; at < heads.length; at += 2_000) {
    victim.say(
      `mallory-${at}`,
      heads.slice(at, at + 2_000).map(({ cid }) => cid),
    )
  }
  await soon(() => victim.refused('too_many_heads') >= 500, 'the limit is reached', 30)
  assert.equal(victim.crdt.stats().heads.length, MAX_HEADS)
  assert.equal(victim.metric('ipfscluster_crdt_heads'), MAX_HEADS)
  const known = victim.crdt
    .stats()
    .heads.slice(0, 3)
    .map(({ cid }) => linkOf(cid) ?? assert.fail())
  const honest = nodeWith({ elements: [element('/honest', '1')], priority: 20_000 }, known)
  victim.deliverable.set(honest.id, honest.data)
  victim.say('alice', [honest.cid])
  await soon(async () => (await victim.crdt.get('/honest')) !== undefined, 'the honest head')
  await commitIsFast(victim, '/mine')
  const [own, ...others] = victim.crdt.stats().heads
  assert.deepEqual(others, [])
  assert.equal(own?.height, 20_001)
  const data = (await victim.crdt.block(own.cid)) ?? assert.fail()
  assert.ok(decodeNode(linkOf(own.cid) ?? assert.fail(), data).links.length > MAX_HEADS - 3)
  const late = heads.find(({ cid }) => !known.some(head => head.cid.equals(cid))) ?? assert.fail()
  victim.say('mallory', [late.cid])
  await honestHeadArrives(victim, 'bob', 'b')
})

test('bytes that are not those of the node are not taken, and the node is when they are', async () => {
  await using victim = await openVictim()
  const node = nodeWith({ elements: [element('/good', '1')] })
  const other = nodeWith({ elements: [element('/evil', '1')] })
  victim.deliverable.set(node.id, other.data)
  victim.say('mallory', [node.cid])
  await soon(() => victim.refused('wrong_hash') > 0, 'the wrong bytes')
  victim.deliverable.set(node.id, node.data)
  await soon(async () => (await victim.crdt.get('/good')) !== undefined, 'the right ones')
  assert.equal(await victim.crdt.get('/evil'), undefined)
  assert.equal(victim.crdt.stats().nodesRefused, 0)
})

test('announced names that no node can have are counted', async () => {
  await using victim = await openVictim()
  const raw = Buffer.concat([Buffer.from([0x0a, 0x26, 0x0a, 0x24, 1, 0x55, 0x12, 0x20]), randomBytes(32)])
  victim.sayBytes('mallory', raw)
  victim.sayBytes('mallory', Buffer.from('nonsense'))
  assert.equal(victim.refused('not_a_node'), 1)
  assert.equal(victim.refused('malformed_announcement'), 1)
  assert.equal(victim.crdt.stats().broadcastsRefused, 1)
  assert.equal(victim.metric('ipfscluster_crdt_broadcasts_total'), 2)
})

test('large nodes that come faster than they are merged are dropped and fetched again', async () => {
  const clock = new ManualClock()
  const scope = createTaskScope(silentLogger)
  const data = (n: number) =>
    nodeOf(Buffer.concat([Buffer.alloc(MAX_NODE_BYTES - 100), Buffer.from([n])])).data
  const count = 24
  const nodes = new Map(Array.from({ length: count }, (_, n) => [linkOfData(data(n)).id, n]))
  const state = { full: true, room: Promise.withResolvers<void>(), gets: 0 }
  const walker = new Walker(
    {
      blocks: {
        get: async cid => {
          // All of them are delivered in the same moment.
          await settle(5)
          state.gets++
          return data(nodes.get(toHex(cid.multihash.digest)) ?? assert.fail())
        },
      },
      clock,
      random: seededRandom(1),
      logger: silentLogger,
      scope,
      refusals: refusalsOf(createMeter(), 'crdt'),
      statuses: links => Promise.resolve(links.map(() => 'unknown' as const)),
      wanted: () => Promise.resolve([]),
      merger: {
        get isFull() {
          return state.full && state.gets > 0
        },
        room: () => state.room.promise,
        add: () => assert.fail('the bytes are no delta'),
      },
      refuse: () => Promise.resolve(),
    },
    defaultCrdtConfig,
  )
  walker.announce(
    [...nodes.values()].map(n => linkOfData(data(n)).cid),
    ['mallory'],
  )
  await until(() => state.gets === count, 'all are delivered')
  await settle()
  state.full = false
  state.room.resolve()
  walker.start()
  await until(() => walker.nodesRefused === count, 'all are read in the end')
  const kept = Math.floor(MAX_HELD_BYTES / MAX_NODE_BYTES)
  assert.equal(state.gets, count + (count - kept))
  await scope[Symbol.asyncDispose]()
})
