/** Members of a cluster for tests of status: of both kinds, silent, slow and broken ones. */
import {
  ANY_PIN,
  matchesStatus,
  newPin,
  pinMatcher,
  TRACKER_STATUS,
  type GlobalPinInfo,
  type Pin,
  type PinInfo,
  type PinListing,
} from '@ipfs-cluster/api'
import { Batched, compareBytes, createMemoryStore, type AbortOptions } from '@ipfs-cluster/base'
import { createManualClock, fakePeerId } from '@ipfs-cluster/testkit'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { identity } from 'multiformats/hashes/identity'
import type { StatusPagesRequest } from '../net/index.ts'
import type { StatusListOptions } from '../pintracker/index.ts'
import { pingMetric } from './peer-view.ts'
import { statusPages } from './status-sources.ts'
import { createStatusQueries, type StatusComponents } from './status.ts'
import type { ClusterConfig, StatusListing } from './types.ts'

export const [SELF, B, C] = [fakePeerId(0), fakePeerId(1), fakePeerId(2)]
export const S = 1_000_000_000n
export const { pinned, remote, pin_error: failed } = TRACKER_STATUS

export const cidOf = (n: number) => CID.createV1(raw.code, identity.digest(Uint8Array.of(n >> 8, n & 255)))
export const numberOf = ({ cid }: { readonly cid: CID }) =>
  (cid.bytes.at(-2) ?? 0) * 256 + (cid.bytes.at(-1) ?? 0)
export const pinOf = (n: number, fields: Partial<Pin> = {}) =>
  newPin(cidOf(n), { name: `pin ${n}`, timestamp: BigInt(n) * S, metadata: { n: `${n}` }, ...fields })

export interface Member {
  readonly pins: ReadonlyMap<number, Pin>
  readonly statuses: ReadonlyMap<number, number>
  readonly kind?: 'ts' | 'go'
  /** Stands before the n-th page or item of its list. */
  readonly before?: (n: number, options: AbortOptions) => Promise<void>
}

export const member = (
  numbers: Iterable<number>,
  status: number = pinned,
  more: Partial<Member> = {},
): Member => {
  const all = [...numbers]
  return {
    pins: new Map(all.map(n => [n, pinOf(n)])),
    statuses: new Map(all.map(n => [n, status])),
    ...more,
  }
}

export const range = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i)

/** A tracker over a member's table. */
export function trackerOf(peer: string, { pins, statuses }: Member) {
  const info = (n: number, facts = true): PinInfo => {
    const pin = pins.get(n)
    const known = facts && pin !== undefined
    return {
      cid: cidOf(n),
      name: known ? pin.name : '',
      peer,
      allocations: known ? pin.allocations : [],
      origins: [],
      created: known ? pin.timestamp : null,
      metadata: known ? pin.metadata : null,
      peerName: `name of ${peer}`,
      ipfs: '',
      ipfsAddresses: [],
      status: statuses.get(n) ?? TRACKER_STATUS.unpinned,
      ts: BigInt(n) * S,
      error: statuses.get(n) === failed ? 'no' : '',
      attemptCount: 0,
      priorityPin: false,
    }
  }
  async function* statusBatches(filter: number, { after, facts = true }: StatusListOptions = {}) {
    const sorted = [...statuses.keys()].sort((a, b) => compareBytes(cidOf(a).bytes, cidOf(b).bytes))
    const numbers = sorted.filter(n => after === undefined || compareBytes(cidOf(n).bytes, after.bytes) > 0)
    for (let from = 0; from < numbers.length; from += 50) {
      const infos = numbers.slice(from, from + 50).map(n => info(n, facts))
      yield infos.filter(({ status }) => matchesStatus(status, filter))
    }
  }
  return {
    statusBatches,
    statusAll: (filter: number) => new Batched(statusBatches(filter)),
    statusMany: (cids: readonly CID[]) => Promise.resolve(cids.map(cid => info(numberOf({ cid })))),
    async *recoverAll() {
      for (const [n, status] of statuses) if (status === failed) yield info(n)
    },
  }
}

export const hang = (_n: number, { signal }: AbortOptions) =>
  new Promise<void>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error)))

/** Peers as `SELF` sees them; what it asks of whom is noted. */
export function createWorld(members: Readonly<Record<string, Member>>) {
  const clock = createManualClock()
  const asked: string[] = []
  let scratches = 0
  const tracker = (peer: string) => trackerOf(peer, members[peer] as Member)
  const unknown = (name: string) => Promise.reject(new Error(`rpc: can't find method ${name}`))
  const rpc = {
    async *stream(peer: string, method: { method: string }, args: unknown[], options: AbortOptions) {
      const { kind = 'ts', before } = members[peer] as Member
      asked.push(`${method.method} ${peer}`)
      if (kind === 'go' && method.method === 'StatusPages') await unknown('PinTracker.StatusPages')
      const reply =
        method.method === 'StatusPages'
          ? statusPages(
              tracker(peer) as never,
              () => ({ peerName: `name of ${peer}`, ipfs: '', ipfsAddresses: [] }),
              args[0] as StatusPagesRequest,
              {},
            )
          : method.method === 'StatusAll'
            ? shuffled(tracker(peer).statusAll(args[0] as number))
            : tracker(peer).recoverAll()
      let n = 0
      for await (const item of reply as AsyncIterable<unknown>) {
        await before?.(n++, options)
        yield item
      }
    },
    async call(peer: string, method: { method: string }, arg: unknown, options: AbortOptions) {
      const { kind = 'ts', before } = members[peer] as Member
      asked.push(`${method.method} ${peer}`)
      await before?.(0, options)
      if (method.method === 'Status') return (await tracker(peer).statusMany([arg as CID]))[0]
      return kind === 'go' ? await unknown('x') : await tracker(peer).statusMany(arg as CID[])
    },
  }
  const own = members[SELF] as Member
  const components = {
    network: { peerId: SELF, rpc },
    consensus: {
      state: {
        getMany: (cids: readonly CID[]) => Promise.resolve(cids.map(cid => own.pins.get(numberOf({ cid })))),
        // In the order of names, as the real one with its filter.
        async *list({ filter = ANY_PIN, cursor }: Partial<PinListing> = {}) {
          const pins = [...own.pins.values()].filter(pinMatcher(filter))
          pins.sort((a, b) => (a.name < b.name ? -1 : 1))
          const from = cursor === null ? 0 : pins.findIndex(pin => pin.name > (cursor?.name ?? ''))
          if (from >= 0) yield* pins.slice(from)
        },
      },
    },
    monitor: {
      members: () => Object.keys(members),
      latestOf: (_name: string, peer: string) =>
        pingMetric(peer, JSON.stringify({ peer_name: `name of ${peer}` }), 0n, 1_000),
    },
    tracker: tracker(SELF),
    clock,
    sortMemoryBytes: 100_000,
    openScratch() {
      scratches++
      return Promise.resolve({ ...createMemoryStore(), [Symbol.asyncDispose]: () => Promise.resolve() })
    },
  } as unknown as StatusComponents
  const queries = createStatusQueries(components, { followerMode: false } as ClusterConfig)
  return { clock, asked, queries, scratches: () => scratches }
}

async function* shuffled<T>(items: AsyncIterable<T>): AsyncGenerator<T> {
  const all = await Array.fromAsync(items)
  yield* all.map((_, i) => all[(i * 7 + 3) % all.length] as T)
}

export const listing = (
  fields: Partial<Omit<PinListing, 'filter'>> & { filter?: Partial<PinListing['filter']> },
) => ({
  listing: { limit: null, cursor: null, ...fields, filter: { ...ANY_PIN, ...fields.filter } },
})
export const all = (
  queries: ReturnType<typeof createWorld>['queries'],
  filter = 0,
  options: StatusListing = {},
) => Array.fromAsync(queries.statusAll(filter, options))
export const numbersOf = (items: readonly GlobalPinInfo[]) => items.map(numberOf)
export const inOrder = (numbers: readonly number[]) =>
  numbers.toSorted((a, b) => compareBytes(cidOf(a).bytes, cidOf(b).bytes))
export const statusOf = (item: GlobalPinInfo | undefined, peer: string) => item?.peerMap[peer]?.status
