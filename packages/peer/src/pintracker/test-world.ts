/** A pinset, a daemon and a store for the tracker's tests and benchmark: small, in memory, and as unkind as a test wants. */
import { cidOfBytes, cidText, newPin, TRACKER_STATUS, type Pin, type PinInfo } from '@ipfs-cluster/api'
import {
  compareBytes,
  concatBytes,
  createMemoryStore,
  EMPTY_BYTES,
  prefixRange,
  raceSignal,
  seededRandom,
  silentLogger,
  toHex,
  utf8,
  type Clock,
  type Store,
  type StoreOp,
} from '@ipfs-cluster/base'
import { createManualClock, waitFor, type ManualClock } from '@ipfs-cluster/testkit'
import { CID } from 'multiformats/cid'
import { setImmediate as turn } from 'node:timers/promises'
import { create as createDigest } from 'multiformats/hashes/digest'
import type { IpfsConnector } from '../ipfsconn/index.ts'
import type { PinChanges, PinState } from '../state/index.ts'
import {
  createPinTracker,
  DEFAULT_TRACKER_LIMITS,
  type LocalPinTracker,
  type PinTrackerConfig,
  type TrackerLimits,
} from './index.ts'
import { DEFAULT_PIN_TRACKER_CONFIG } from './types.ts'

export const SELF = 'self-peer'
export const OTHER = 'other-peer'

/** The CID number `n`; they sort in no particular order. */
export function testCid(n: number): CID {
  const digest = new Uint8Array(32)
  const view = new DataView(digest.buffer)
  view.setUint32(0, Math.imul(n + 1, 0x9e3779b1) >>> 0)
  view.setUint32(4, n)
  return CID.createV1(0x55, createDigest(0x12, digest))
}

const OUTBOX = utf8('/outbox/')

export interface FakePinset {
  readonly state: Pick<PinState, 'get' | 'getMany'>
  readonly changes: PinChanges
  readonly pins: Map<string, Pin>
  /** How many changes were handed on at a time. */
  readonly taken: number[]
  put(...pins: readonly Pin[]): Promise<void>
  remove(...cids: readonly CID[]): Promise<void>
}

/** Pins in memory, with the outbox of changes in `store`, so that it outlives a tracker. */
export function createFakePinset(store: () => Store): FakePinset {
  const pins = new Map<string, Pin>()
  const taken: number[] = []
  let wake = Promise.withResolvers<void>()
  let changesMade = 0
  /** Rows that there were at the last look, and those that came since; whether each is more than a new pin of unknown size. */
  let backlog: ReadonlyMap<string, boolean> = new Map()
  // Each change has a row of its own: acknowledging one must not take a later one of the same CID with it.
  const announce = async (cids: readonly CID[], isPressing: (cid: CID) => boolean) => {
    const keys = cids.map(cid => concatBytes([OUTBOX, cid.bytes, utf8(`${changesMade++}`)]))
    await store().batch(
      cids.map((cid, i): StoreOp => ({ type: 'put', key: keys[i] as Uint8Array, value: cid.bytes })),
    )
    backlog = new Map([
      ...backlog,
      ...keys.map((key, i) => [toHex(key), isPressing(cids[i] as CID)] as const),
    ])
    wake.resolve()
    wake = Promise.withResolvers()
  }
  return {
    pins,
    taken,
    state: {
      get: cid => Promise.resolve(pins.get(cidText(cid))),
      getMany: cids => Promise.resolve(cids.map(cid => pins.get(cidText(cid)))),
    },
    changes: {
      async next(limit, { signal } = {}) {
        while (true) {
          const waiting = wake.promise
          const all = await Array.fromAsync(store().entries(prefixRange(OUTBOX)))
          backlog = new Map(all.map(([key]) => [toHex(key), backlog.get(toHex(key)) ?? true]))
          const rows = all.slice(0, limit)
          if (rows.length > 0) {
            const cids = new Map(rows.map(([, bytes]) => [toHex(bytes), cidOfBytes(bytes)]))
            const changes = [...cids.values()].map(cid => ({ cid, pin: pins.get(cidText(cid)) }))
            return {
              async *changes(most) {
                for (let at = 0; at < changes.length; at += most) {
                  const some = changes.slice(at, at + most)
                  taken.push(some.length)
                  yield some
                }
              },
              ack: rows.map(([key]): StoreOp => ({ type: 'del', key })),
              acknowledged() {
                const gone = new Set(rows.map(([key]) => toHex(key)))
                backlog = new Map([...backlog].filter(([key]) => !gone.has(key)))
              },
            }
          }
          await raceSignal(waiting, signal)
        }
      },
      async cids(limit, { after } = {}) {
        const rows = await Array.fromAsync(store().entries({ ...prefixRange(OUTBOX), limit }))
        const cids = new Map(rows.map(([, bytes]) => [toHex(bytes), bytes]))
        return [...cids.values()]
          .filter(cid => after === undefined || compareBytes(cid, after.bytes) > 0)
          .sort(compareBytes)
      },
      backlog: () => ({
        count: backlog.size,
        hasPressing: [...backlog.values()].includes(true),
        version: changesMade,
      }),
      async waitForAny({ signal } = {}) {
        while (backlog.size === 0) await raceSignal(wake.promise, signal)
      },
    },
    async put(...added) {
      const before = new Set(pins.keys())
      for (const pin of added) pins.set(cidText(pin.cid), pin)
      await announce(
        added.map(({ cid }) => cid),
        cid => before.has(cidText(cid)) || pins.get(cidText(cid))?.size !== undefined,
      )
    },
    async remove(...cids) {
      for (const cid of cids) pins.delete(cidText(cid))
      await announce(cids, () => true)
    },
  }
}

type DaemonCall = 'pin' | 'unpin' | 'pinLs' | 'pinLsCid'

export interface FakeDaemon {
  readonly ipfs: Pick<IpfsConnector, 'pin' | 'unpin' | 'pinLs' | 'pinLsCid' | 'arePinned'>
  /** Set before the tracker's first pin when the daemon can be asked for many at once. */
  arePinned: IpfsConnector['arePinned']
  /** CIDs whose pin was told that they need not be asked for. */
  readonly absent: Set<string>
  /** The error of those that fail. */
  failWith: (reason: string) => Error
  readonly pinned: Map<string, 'recursive' | 'direct'>
  readonly calls: { readonly call: DaemonCall; readonly key: string }[]
  /** When not there, every call fails as unreachable. */
  reachable: boolean
  /** CIDs whose pin or unpin fails, with the reason. */
  readonly failing: Map<string, string>
  /** CIDs whose pin or unpin never ends. */
  readonly hanging: Set<string>
  /** What each pin and unpin waits for. */
  delay: () => Promise<void>
  /** Pins and unpins under way: by CID, and the most there ever were. */
  readonly active: Map<string, DaemonCall>
  readonly most: { pin: number; unpin: number }
  /** CIDs that had two calls at once. */
  readonly clashes: string[]
  aborted: number
  count(call: DaemonCall): number
}

export class FakeIpfsError extends Error {
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

export function createFakeDaemon(): FakeDaemon {
  const check = (call: DaemonCall, key: string) => {
    daemon.calls.push({ call, key })
    if (!daemon.reachable) throw new FakeIpfsError('IPFS_UNREACHABLE', 'connection refused')
  }
  const operate = async (call: 'pin' | 'unpin', key: string, signal: AbortSignal | undefined) => {
    check(call, key)
    if (daemon.active.has(key)) daemon.clashes.push(key)
    daemon.active.set(key, call)
    const same = [...daemon.active.values()].filter(other => other === call).length
    daemon.most[call] = Math.max(daemon.most[call], same)
    try {
      if (daemon.hanging.has(key)) await raceSignal(new Promise<never>(() => undefined), signal)
      await raceSignal(daemon.delay(), signal)
      const reason = daemon.failing.get(key)
      if (reason !== undefined) throw daemon.failWith(reason)
    } catch (error) {
      if (signal?.aborted === true) daemon.aborted++
      throw error
    } finally {
      daemon.active.delete(key)
    }
  }
  const daemon: FakeDaemon = {
    pinned: new Map(),
    calls: [],
    arePinned: undefined,
    absent: new Set(),
    failWith: reason => new FakeIpfsError('IPFS_REQUEST_FAILED', reason),
    reachable: true,
    failing: new Map(),
    hanging: new Set(),
    delay: () => Promise.resolve(),
    active: new Map(),
    most: { pin: 0, unpin: 0 },
    clashes: [],
    aborted: 0,
    count: call => daemon.calls.filter(made => made.call === call).length,
    ipfs: {
      get arePinned() {
        return daemon.arePinned
      },
      async pin(pin, { signal, onProgress, isAbsent } = {}) {
        const key = cidText(pin.cid)
        if (isAbsent === true) daemon.absent.add(key)
        onProgress?.({ blocks: 1 })
        await operate('pin', key, signal)
        daemon.pinned.set(key, pin.mode)
      },
      async unpin(cid, { signal } = {}) {
        const key = cidText(cid)
        await operate('unpin', key, signal)
        daemon.pinned.delete(key)
      },
      async *pinLs({ signal } = {}) {
        check('pinLs', '')
        for (const [key, type] of daemon.pinned) {
          signal?.throwIfAborted()
          yield { cid: CID.parse(key), type }
        }
      },
      pinLsCid: cid =>
        Promise.try(() => {
          check('pinLsCid', cidText(cid))
          return daemon.pinned.get(cidText(cid)) ?? 'unpinned'
        }),
    },
  }
  return daemon
}

export interface World {
  readonly clock: ManualClock
  readonly daemon: FakeDaemon
  readonly pinset: FakePinset
  tracker: LocalPinTracker
  /** A pin of CID number `n`, kept here, submitted now. */
  pin(n: number, fields?: Partial<Pin>): Pin
  statusNames(): Promise<Record<number, string>>
  list(filter?: number): Promise<PinInfo[]>
}

export interface WorldOptions {
  readonly store?: Store
  readonly config?: Partial<PinTrackerConfig>
  readonly limits?: Partial<TrackerLimits>
  readonly utilization?: () => number
  readonly isAwaited?: () => boolean
}

/** A tracker at work in a world that the test controls. Dispose of `tracker`. */
export async function createWorld({
  store = createMemoryStore(),
  config,
  limits,
  utilization,
  isAwaited,
}: WorldOptions = {}): Promise<World> {
  const clock = createManualClock()
  const daemon = createFakeDaemon()
  const pinset = createFakePinset(() => store)
  const tracker = await startTracker({ store, clock, daemon, pinset, utilization, isAwaited }, config, limits)
  const list = async (filter = 0) => await Array.fromAsync(world.tracker.statusAll(filter))
  const world: World = {
    clock,
    daemon,
    pinset,
    tracker,
    list,
    pin: (n, fields) => newPin(testCid(n), herePin(clock, fields)),
    async statusNames() {
      const names = new Map((await list()).map(({ cid, status }) => [cidText(cid), statusName(status)]))
      const numbers = Array.from({ length: 100 }, (_, n) => n).filter(n => names.has(cidText(testCid(n))))
      return Object.fromEntries(numbers.map(n => [n, names.get(cidText(testCid(n))) ?? '']))
    },
  }
  return world
}

export function herePin(clock: Clock, fields: Partial<Pin> = {}): Partial<Pin> {
  return {
    replicationFactorMin: 1,
    replicationFactorMax: 1,
    allocations: [SELF],
    timestamp: BigInt(clock.now()) * 1_000_000n,
    ...fields,
  }
}

export async function startTracker(
  parts: {
    readonly store: Store
    readonly clock: Clock
    readonly daemon: Pick<FakeDaemon, 'ipfs'>
    readonly pinset: Pick<FakePinset, 'state' | 'changes'>
    readonly utilization?: (() => number) | undefined
    readonly isAwaited?: (() => boolean) | undefined
  },
  config: Partial<PinTrackerConfig> = {},
  limits?: Partial<TrackerLimits>,
): Promise<LocalPinTracker> {
  const { store, clock, daemon, pinset, utilization, isAwaited } = parts
  return await createPinTracker(
    {
      store,
      clock,
      state: pinset.state,
      changes: pinset.changes,
      ipfs: daemon.ipfs,
      random: seededRandom(7),
      logger: silentLogger,
      ...(utilization && { utilization }),
      ...(isAwaited && { isAwaited }),
      self: {
        id: SELF,
        info: () => ({ peerName: 'me', ipfs: 'ipfs-peer', ipfsAddresses: ['/ip4/10.0.0.1/tcp/4001'] }),
      },
    },
    { ...DEFAULT_PIN_TRACKER_CONFIG, ...config },
    // At once: a clock that stands still ends no gathering.
    { ...DEFAULT_TRACKER_LIMITS, gatherMs: 0, auditAfterMs: 0, ...limits },
  )
}

export function statusName(status: number): string {
  return Object.entries(TRACKER_STATUS).find(([, bits]) => bits === status)?.[0] ?? `${status}`
}

export function isSorted(infos: readonly PinInfo[]): boolean {
  return infos.every(
    ({ cid }, i) => i === 0 || compareBytes(infos[i - 1]?.cid.bytes ?? EMPTY_BYTES, cid.bytes) < 0,
  )
}

/** Turns of the event loop that let chains of promises settle. */
const SETTLE_TURNS = 20

/** Lets everything that needs no time run. */
export async function settle(): Promise<void> {
  for (let i = 0; i < SETTLE_TURNS; i++) await turn()
}

/** Waits until `condition` holds. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what = 'the condition',
  timeoutMs = 3_000,
): Promise<void> {
  await waitFor(condition, { what, timeoutMs, intervalMs: 1 })
}
