import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newPin, type Alert, type Metric, type Pin } from '@ipfs-cluster/api'
import { createTaskScope, silentLogger, systemClock, type Clock } from '@ipfs-cluster/base'
import { waitFor } from '@ipfs-cluster/testkit'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { identity } from 'multiformats/hashes/identity'
import type { Consensus } from '../consensus/index.ts'
import { startLoops, type LoopComponents } from './loops.ts'
import { createPinning } from './pinning.ts'
import type { ClusterConfig } from './types.ts'

const [SELF, DEAD, SPARE] = [
  '12D3KooWGMaoXmVRE8v4pAPPHSdC9yqMgrd8UPtQcu279ytr9nQN',
  '12D3KooWFzGF8Z4SwAq5KFzef39JinXZQsZpXu2uhf9GbA19t6rD',
  '12D3KooWHaBgGLz5ndkSv8n8MxyFVX6q5DvJXzqeBwkmPpRvLVX7',
] as const

const CONFIG: ClusterConfig = {
  peername: 'self',
  replicationFactorMin: 2,
  replicationFactorMax: 2,
  stateSyncIntervalMs: 10,
  pinRecoverIntervalMs: 3_600_000,
  monitorPingIntervalMs: 3_600_000,
  peerWatchIntervalMs: 3_600_000,
  pinOnlyOnTrustedPeers: false,
  pinOnlyOnUntrustedPeers: false,
  disableRepinning: false,
  followerMode: false,
  allocateBy: ['freespace'],
  connectSwarmsDelayMs: 0,
  informerTriggerInterval: 0,
}

const cidOf = (n: number) => CID.createV1(raw.code, identity.digest(Uint8Array.of(n >> 8, n & 255)))

function metric(name: string, peer: string): Metric {
  return {
    name,
    peer,
    value: '',
    expire: 2n ** 62n,
    valid: true,
    weight: 1n,
    partitionable: false,
    receivedAt: 0n,
  }
}

/** What happens to the pinset while a listing of it is read. */
interface Hooks {
  readonly onListed?: (pinset: Map<string, Pin>) => void
  readonly onExpired?: (pinset: Map<string, Pin>) => void
}

/** Loops over a pinset in memory, where `DEAD` has just died. */
function setUp(pins: readonly Pin[], hooks: Hooks = {}) {
  const pinset = new Map(pins.map(pin => [pin.cid.toString(), pin]))
  const sleeps: number[] = []
  const clock: Clock = {
    ...systemClock,
    sleep(ms, options) {
      sleeps.push(ms)
      return systemClock.sleep(ms, options)
    },
  }
  const consensus = {
    state: {
      get: (cid: CID) => Promise.resolve(pinset.get(cid.toString())),
      // As the real one: of the state when the listing began.
      async *list() {
        const snapshot = [...pinset.values()]
        hooks.onListed?.(pinset)
        yield* snapshot
      },
      async *expired() {
        const snapshot = [...pinset.values()].filter(pin => pin.expireAt !== null)
        hooks.onExpired?.(pinset)
        yield* snapshot
      },
    },
    isTrusted: () => true,
    logPin: (pin: Pin) => Promise.resolve(void pinset.set(pin.cid.toString(), pin)),
    logUnpin: (cid: CID) => Promise.resolve(void pinset.delete(cid.toString())),
  } as unknown as Consensus
  let raise: (alert: Alert) => void = () => assert.fail('nobody listens')
  const monitor = {
    latest: (name: string) => [SELF, SPARE].map(peer => metric(name, peer)),
    latestOf: () => undefined,
    members: () => [SELF],
    publish: () => Promise.resolve(),
    onAlert(handler: (alert: Alert) => void) {
      raise = handler
      return { [Symbol.dispose]: () => undefined }
    },
  } as unknown as LoopComponents['monitor']
  const ipfs = {} as LoopComponents['ipfs']
  const pinning = createPinning(
    { self: SELF, consensus, monitor, ipfs, clock, onPin: () => undefined },
    CONFIG,
  )
  const lines: string[] = []
  const logger = { ...silentLogger, info: (_fields: unknown, line?: string) => void lines.push(line ?? '') }
  const scope = createTaskScope(silentLogger)
  const components = {
    self: SELF,
    consensus,
    monitor,
    pinning,
    clock,
    logger,
    announce: () => Promise.resolve(),
  } as unknown as LoopComponents
  startLoops(
    components,
    { description: () => ({ peerName: '', ipfs: '', ipfsAddresses: [] }), publish: () => Promise.resolve() },
    CONFIG,
    scope,
  )
  const die = async () => {
    raise({ ...metric('ping', DEAD), triggeredAt: 0n })
    await waitFor(() => lines.includes('re-pinned what the dead peer kept'))
  }
  return { pinset, sleeps, die, [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose]() }
}

const keptByDead = (n: number, fields: Partial<Pin> = {}) =>
  newPin(cidOf(n), {
    allocations: [SELF, DEAD],
    replicationFactorMin: 2,
    replicationFactorMax: 2,
    ...fields,
  })

test('what a dead peer kept moves to another', async () => {
  await using world = setUp([keptByDead(1)])
  await world.die()
  assert.deepEqual(
    [...(world.pinset.get(cidOf(1).toString())?.allocations ?? [])].sort(),
    [SELF, SPARE].sort(),
  )
})

test('a pin that is removed or changed while re-pinning goes on is not brought back', async () => {
  await using world = setUp([keptByDead(1), keptByDead(2)], {
    onListed(pinset) {
      pinset.delete(cidOf(1).toString())
      pinset.set(cidOf(2).toString(), keptByDead(2, { name: 'renamed meanwhile' }))
    },
  })
  await world.die()
  assert.equal(world.pinset.has(cidOf(1).toString()), false)
  assert.equal(world.pinset.get(cidOf(2).toString())?.name, 'renamed meanwhile')
})

test('pins that need not move cost no pause each', async () => {
  const enough = Array.from({ length: 50 }, (_, n) => keptByDead(n, { replicationFactorMin: 1 }))
  await using world = setUp(enough)
  const before = world.sleeps.filter(ms => ms === 10).length
  await world.die()
  // The expiry loop sleeps as long, every now and then; a pause a pin would be fifty of them.
  assert.ok(world.sleeps.filter(ms => ms === 10).length - before < 40)
})

test('a pin that somebody else unpinned first does not keep others from expiring', async () => {
  const expired = [1, 2].map(n => keptByDead(n, { expireAt: 1n }))
  let first = true
  await using world = setUp(expired, {
    onExpired(pinset) {
      if (first) pinset.delete(cidOf(1).toString())
      if (!first) pinset.set('stop', keptByDead(3))
      first = false
    },
  })
  await waitFor(() => !world.pinset.has(cidOf(2).toString()))
  assert.equal(world.pinset.has('stop'), false, 'it took a second pass')
})
