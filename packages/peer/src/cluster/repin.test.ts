import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newPin, type Metric, type Pin } from '@ipfs-cluster/api'
import {
  createMemoryStore,
  createMeter,
  createTaskScope,
  silentLogger,
  type Meter,
  type Store,
} from '@ipfs-cluster/base'
import { createManualClock, type ManualClock } from '@ipfs-cluster/testkit'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { identity } from 'multiformats/hashes/identity'
import type { Consensus } from '../consensus/index.ts'
import { createPinning, type PinningComponents } from './pinning.ts'
import { createRepinJournal } from './repin-journal.ts'
import { measureRepinning, repinFromTheDead, type RepinComponents } from './repin.ts'
import type { ClusterConfig } from './types.ts'

const [SELF, DEAD, SPARE] = [
  '12D3KooWGMaoXmVRE8v4pAPPHSdC9yqMgrd8UPtQcu279ytr9nQN',
  '12D3KooWFzGF8Z4SwAq5KFzef39JinXZQsZpXu2uhf9GbA19t6rD',
  '12D3KooWHaBgGLz5ndkSv8n8MxyFVX6q5DvJXzqeBwkmPpRvLVX7',
] as const

const CONFIG = { graceMs: 60_000, startDelayMs: 30_000, watchIntervalMs: 1_000, retryMs: 600_000 }
const cidOf = (n: number) => CID.createV1(raw.code, identity.digest(Uint8Array.of(n >> 8, n & 255)))
const nameOf = (n: number) => cidOf(n).toString()

function metric(name: string, peer: string): Metric {
  const weights = { valid: true, weight: 1n, partitionable: false, receivedAt: 0n }
  return { name, peer, value: '', expire: 2n ** 62n, ...weights }
}

const kept = (n: number, fields: Partial<Pin> = {}) =>
  newPin(cidOf(n), {
    allocations: [SELF, DEAD],
    replicationFactorMin: 2,
    replicationFactorMax: 2,
    ...fields,
  })

const several = (count: number, fields: Partial<Pin> = {}) =>
  Array.from({ length: count }, (_, n) => kept(n, fields))

/** A cluster of which only we are looked at. Who is alive is for the test to say. */
function createWorld(pins: readonly Pin[]) {
  return {
    pinset: new Map(pins.map(pin => [pin.cid.toString(), pin])),
    alive: new Set<string>([SELF, DEAD, SPARE]),
    store: createMemoryStore(),
    clock: createManualClock(),
    lines: [] as string[],
    /** What happens to the pinset while a listing of it is read, and before a pin is written. */
    onListed: () => undefined as void,
    onWrite: (_cid: string) => undefined as void,
    lists: 0,
  }
}

type World = ReturnType<typeof createWorld> & { readonly store: Store; readonly clock: ManualClock }

function start(world: World, meter: Meter = createMeter()) {
  const { pinset, alive, clock } = world
  const consensus = {
    state: {
      get: (cid: CID) => Promise.resolve(pinset.get(cid.toString())),
      // As the real one: of the state when the listing began.
      async *list({ after }: { after?: CID } = {}) {
        world.lists++
        const snapshot = [...pinset.values()]
        const from = after === undefined ? 0 : snapshot.findIndex(({ cid }) => cid.equals(after)) + 1
        world.onListed()
        yield* snapshot.slice(from)
      },
    },
    isTrusted: () => true,
    async logPin(pin: Pin) {
      world.onWrite(pin.cid.toString())
      pinset.set(pin.cid.toString(), pin)
    },
  } as unknown as Consensus
  const monitor = {
    members: () => [...alive],
    latest: (name: string) => [...alive].map(peer => metric(name, peer)),
    latestOf: (name: string, peer: string) => (alive.has(peer) ? metric(name, peer) : undefined),
  } as unknown as RepinComponents['monitor'] & PinningComponents['monitor']
  const pinning = createPinning(
    {
      self: SELF,
      consensus,
      monitor,
      ipfs: {},
      clock,
      onPin: () => undefined,
    } as unknown as PinningComponents,
    {
      replicationFactorMin: 2,
      replicationFactorMax: 2,
      allocateBy: ['freespace'],
    } as unknown as ClusterConfig,
  )
  const say = (_fields: unknown, line?: string) => void world.lines.push(line ?? '')
  const scope = createTaskScope(silentLogger)
  const components: RepinComponents = {
    self: SELF,
    state: consensus.state,
    monitor,
    pinning,
    closest: () => () => true,
    journal: createRepinJournal(world.store),
    counts: measureRepinning(meter, () => pinset.size),
    clock,
    logger: { ...silentLogger, info: say, warn: say },
  }
  scope.run('repin', signal => repinFromTheDead(components, CONFIG, signal))
  return scope
}

const movedOf = (world: World) =>
  [...world.pinset.values()].filter(({ allocations }) => allocations.includes(SPARE)).length
const finished = (world: World) =>
  world.lines.filter(line => line === 're-pinned what the dead peer kept').length
const valueOf = (meter: ReturnType<typeof createMeter>, name: string) =>
  meter.collect().find(each => each.name === name)?.samples[0]?.value

test('what a dead peer kept moves to another after the grace period, and not before', async () => {
  const world = createWorld(several(3))
  const meter = createMeter()
  await using _ = start(world, meter)
  await world.clock.advance(5_000)
  world.alive.delete(DEAD)
  await world.clock.advance(59_000)
  assert.equal(movedOf(world), 0)
  await world.clock.advance(5_000)
  assert.equal(movedOf(world), 3)
  assert.deepEqual([...(world.pinset.get(nameOf(1))?.allocations ?? [])].sort(), [SELF, SPARE].sort())
  assert.equal(valueOf(meter, 'ipfscluster_repinned_total'), 3)
  assert.equal(valueOf(meter, 'ipfscluster_repin_pins_left'), 0)
  // And then there is nothing left to do.
  const { lists } = world
  await world.clock.advance(3_600_000)
  assert.equal(world.lists, lists)
})

test('a peer that is back within the grace period keeps its pins, and the pinset is not even looked at', async () => {
  const world = createWorld(several(3))
  await using _ = start(world)
  await world.clock.advance(5_000)
  world.alive.delete(DEAD)
  await world.clock.advance(50_000)
  world.alive.add(DEAD)
  await world.clock.advance(600_000)
  assert.equal(movedOf(world), 0)
  assert.equal(world.lists, 0)
})

test('a pass stops when the peer is back', async () => {
  const world = createWorld(several(300))
  await using _ = start(world)
  await world.clock.advance(5_000)
  world.alive.delete(DEAD)
  let written = 0
  world.onWrite = () => {
    if (++written === 100) world.alive.add(DEAD)
  }
  await world.clock.advance(600_000)
  assert.ok(movedOf(world) >= 100 && movedOf(world) < 200, `${movedOf(world)}`)
  assert.equal(finished(world), 0)
  assert.ok(world.lines.includes('the peer is back: its pins stay where they are'))
})

test('a pass goes on after a restart where it was, if the peer is still dead', async () => {
  const world = createWorld(several(300))
  {
    const scope = start(world)
    await world.clock.advance(5_000)
    world.alive.delete(DEAD)
    const stopped = Promise.withResolvers<void>()
    let written = 0
    world.onWrite = () => {
      if (++written === 100) stopped.resolve()
    }
    const advancing = world.clock.advance(600_000)
    await stopped.promise
    await scope[Symbol.asyncDispose]()
    await advancing
    assert.ok(movedOf(world) < 300)
  }
  const before = new Set([...world.pinset.values()].filter(pin => pin.allocations.includes(SPARE)))
  world.onWrite = cid => assert.ok(![...before].some(pin => pin.cid.toString() === cid), 'moved twice')
  await using _ = start(world)
  await world.clock.advance(59_000)
  assert.equal(movedOf(world), before.size)
  await world.clock.advance(60_000)
  assert.equal(movedOf(world), 300)
})

test('who died while nobody was watching is noticed by those who knew it', async () => {
  const world = createWorld(several(3))
  {
    await using _ = start(world)
    await world.clock.advance(5_000)
  }
  world.alive.delete(DEAD)
  await using _ = start(world)
  await world.clock.advance(70_000)
  assert.equal(movedOf(world), 3)
})

test('who is slow to be heard after our start is not taken for dead', async () => {
  const world = createWorld(several(3))
  {
    await using _ = start(world)
    await world.clock.advance(5_000)
  }
  world.alive.delete(DEAD)
  await using _ = start(world)
  await world.clock.advance(29_000)
  world.alive.add(DEAD)
  await world.clock.advance(600_000)
  assert.equal(movedOf(world), 0)
})

test('pins that cannot be moved are tried again later, and only while the peer is dead', async () => {
  const world = createWorld(several(2))
  await using _ = start(world)
  await world.clock.advance(5_000)
  world.alive.delete(DEAD)
  world.alive.delete(SPARE)
  await world.clock.advance(120_000)
  assert.equal(movedOf(world), 0)
  assert.equal(
    world.lines.filter(line => line === 'cannot move a pin of a dead peer').length,
    1,
    'one a pass',
  )
  world.alive.add(SPARE)
  await world.clock.advance(600_000)
  assert.equal(movedOf(world), 2)
})

test('a pin that is removed or changed while re-pinning goes on is not brought back', async () => {
  const world = createWorld([kept(1), kept(2)])
  await using _ = start(world)
  await world.clock.advance(5_000)
  world.onListed = () => {
    world.pinset.delete(nameOf(1))
    world.pinset.set(nameOf(2), kept(2, { name: 'renamed meanwhile' }))
  }
  world.alive.delete(DEAD)
  await world.clock.advance(70_000)
  assert.equal(world.pinset.has(nameOf(1)), false)
  assert.equal(world.pinset.get(nameOf(2))?.name, 'renamed meanwhile')
})

test('pins of others, and pins that need not move, cost no pause each', async () => {
  const world = createWorld([...several(900, { allocations: [SELF, SPARE] }), kept(1_000)])
  await using _ = start(world)
  await world.clock.advance(5_000)
  world.alive.delete(DEAD)
  await world.clock.advance(62_500)
  assert.equal(finished(world), 1)
})
