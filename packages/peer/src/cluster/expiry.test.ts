import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newPin, type Pin } from '@ipfs-cluster/api'
import { createTaskScope, silentLogger } from '@ipfs-cluster/base'
import { createManualClock } from '@ipfs-cluster/testkit'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { identity } from 'multiformats/hashes/identity'
import { ClusterError, pinNotFound } from './errors.ts'
import { letPinsExpire, type ExpiryComponents } from './expiry.ts'

const NS_PER_S = 1_000_000_000n
const cidOf = (n: number) => CID.createV1(raw.code, identity.digest(Uint8Array.of(n)))

/** Pins that expire so many seconds after the start, and who may unpin them. */
function setUp(given: readonly (readonly [n: number, inSeconds: number])[], isOurs = (_n: number) => true) {
  const clock = createManualClock()
  const start = Math.floor(clock.now() / 1000)
  const pins = new Map<string, Pin>()
  const numbers = new Map<string, number>()
  let listener: (seconds: number) => void = () => undefined
  const world = {
    clock,
    looks: 0,
    /** Milliseconds that have passed besides. */
    aheadMs: 0,
    /** Not in the index yet. */
    late: undefined as number | undefined,
    /** Once the index was read for what has expired. */
    looked: () => undefined as unknown,
    unpinned: [] as { n: number; at: number }[],
    refuse: (_n: number): Error | undefined => undefined,
    pin(n: number, inSeconds: number, fields: Partial<Pin> = {}) {
      const cid = cidOf(n)
      numbers.set(cid.toString(), n)
      pins.set(cid.toString(), newPin(cid, { ...fields, expireAt: BigInt(start + inSeconds) * NS_PER_S }))
      listener(start + inSeconds)
    },
    has: (n: number) => pins.has(cidOf(n).toString()),
    [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose](),
  }
  for (const [n, inSeconds] of given) world.pin(n, inSeconds)
  const secondsOf = (pin: Pin) => Number((pin.expireAt ?? 0n) / NS_PER_S)
  const components: ExpiryComponents = {
    state: {
      async *expired(now) {
        world.looks++
        yield* [...pins.values()].filter(pin => secondsOf(pin) < now)
        await world.looked()
      },
      nextExpiry: from =>
        Promise.resolve(
          [...pins.values()]
            .filter(({ cid }) => numbers.get(cid.toString()) !== world.late)
            .map(secondsOf)
            .filter(s => s >= from)
            .sort((a, b) => a - b)[0],
        ),
      onExpiry(told) {
        listener = told
        return { [Symbol.dispose]: () => void (listener = () => undefined) }
      },
    },
    pinning: {
      async unpinExpired(cid) {
        const n = numbers.get(cid.toString()) ?? -1
        const refusal = world.refuse(n)
        if (refusal !== undefined) throw refusal
        world.unpinned.push({ n, at: Math.round(clock.now() / 1000) - start })
        const pin = pins.get(cid.toString()) as Pin
        pins.delete(cid.toString())
        return pin
      },
    },
    closest: () => cid => isOurs(numbers.get(cid.toString()) ?? -1),
    clock: { ...clock, now: () => clock.now() + world.aheadMs },
    logger: silentLogger,
  }
  const scope = createTaskScope(silentLogger)
  scope.run('expire', signal => letPinsExpire(components, { startDelayMs: 1_000, retryMs: 300_000 }, signal))
  return world
}

test('a pin whose second ends while its peer looks is not forgotten', async () => {
  await using world = setUp([[1, 100]])
  world.looked = () => (world.aheadMs = 100_500)
  await world.clock.advance(2_000)
  assert.deepEqual(
    world.unpinned.map(({ n }) => n),
    [1],
  )
})

test('what comes in while its peer looks is unpinned in time, though the index may not have it yet', async () => {
  await using world = setUp([[1, 50]])
  world.looked = () => {
    if (!world.has(2)) world.pin(2, 100)
    world.late = 2
    return undefined
  }
  await world.clock.advance(60_000)
  world.late = undefined
  await world.clock.advance(60_000)
  assert.deepEqual(
    world.unpinned.map(({ n }) => n),
    [1, 2],
  )
})

test('each pin is unpinned when its second is over, and nothing is looked at in between', async () => {
  await using world = setUp([
    [1, 100],
    [2, 5_000],
    [3, 100],
  ])
  await world.clock.advance(3_600_000 * 3)
  assert.deepEqual(world.unpinned, [
    { n: 1, at: 101 },
    { n: 3, at: 101 },
    { n: 2, at: 5_001 },
  ])
  assert.equal(world.looks, 3)
})

test('a sooner expiry that comes in moves the timer; a later one does not wake it', async () => {
  await using world = setUp([[1, 10_000]])
  await world.clock.advance(60_000)
  const { looks } = world
  world.pin(2, 20_000)
  await world.clock.advance(60_000)
  assert.equal(world.looks, looks)
  world.pin(3, 200)
  await world.clock.advance(3_600_000)
  assert.deepEqual(world.unpinned, [{ n: 3, at: 201 }])
})

test('with nothing that expires there is one look a day, and the first pin that does is not missed', async () => {
  await using world = setUp([])
  await world.clock.advance(23 * 3_600_000)
  assert.equal(world.looks, 1)
  world.pin(1, 24 * 3_600 - 100)
  await world.clock.advance(3_600_000)
  assert.deepEqual(world.unpinned, [{ n: 1, at: 24 * 3_600 - 99 }])
})

test('what is another peer’s to unpin is looked at again after a while, for that peer may have died', async () => {
  let dead = false
  await using world = setUp([[1, 10]], () => dead)
  await world.clock.advance(100_000)
  assert.equal(world.has(1), true)
  dead = true
  await world.clock.advance(300_000)
  assert.equal(world.has(1), false)
})

test('one that somebody else unpinned first, or that is refused, keeps no other from expiring', async () => {
  await using world = setUp([
    [1, 10],
    [2, 10],
    [3, 10],
  ])
  world.refuse = n => (n === 1 ? pinNotFound(cidOf(1)) : n === 2 ? new Error('full') : undefined)
  await world.clock.advance(20_000)
  assert.deepEqual(
    world.unpinned.map(({ n }) => n),
    [3],
  )
  world.refuse = n => (n === 1 ? pinNotFound(cidOf(1)) : undefined)
  await world.clock.advance(600_000)
  assert.equal(world.has(2), false)
})

test('a shard whose add came to nothing is unpinned by others, too, should its peer not do it', async () => {
  await using world = setUp([], n => n === 3)
  const shard = { type: 'shard-pin', metadata: { 'ipfs-cluster-adding': '1' } } as const
  world.pin(1, 100, shard)
  world.pin(2, 100)
  world.pin(3, 100, shard)
  await world.clock.advance(3_600_000)
  assert.deepEqual(world.unpinned.map(({ n, at }) => [n, at > 700]).sort(), [
    [1, true],
    [3, false],
  ])
})

test('a shard of content that a Go peer added is left to its root, without a word', async () => {
  await using world = setUp([[1, 100]])
  world.refuse = () => new ClusterError('it is a shard', { code: 'UNPIN_SHARD', cid: '' })
  await world.clock.advance(3_600_000 * 3)
  assert.ok(world.has(1))
  assert.equal(world.looks, 2, 'at the start and when it expires, and not again and again')
})
