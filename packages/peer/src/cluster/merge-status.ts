/**
 * One status per CID from the lists of many peers, in bounded memory: every list is in the order of CID bytes, so the next CID to report
 * is always the least of the lists' next items. A peer that fails is reported as `cluster_error` on every item from there on.
 */
import {
  TRACKER_STATUS,
  type GlobalPinInfo,
  type PeerId,
  type PinInfo,
  type PinInfoShort,
} from '@ipfs-cluster/api'
import { asError, compareBytes } from '@ipfs-cluster/base'
import type { StatusRow } from '../net/index.ts'

/** What the pinset says of a pin. */
export type PinFacts = Omit<GlobalPinInfo, 'peerMap' | 'cid'>

/** A status; with what the pinset of its peer says, when the peer tells. */
export interface ReportedStatus extends StatusRow {
  readonly facts?: PinFacts | undefined
}

export interface StatusSource {
  readonly peer: PeerId
  /** In the order of CID bytes. */
  readonly batches: AsyncIterable<readonly ReportedStatus[]>
}

/** What all peers say of one CID. */
export interface MergedStatus {
  /** Binary CID. */
  readonly cid: Uint8Array
  readonly peerMap: Readonly<Record<PeerId, PinInfoShort>>
  readonly facts: PinFacts | undefined
}

export interface MergeOptions {
  /** A failed peer, as an entry of `peerMap`. */
  readonly describeFailure: (peer: PeerId, error: Error) => PinInfoShort
  /** Peers whose failure is no news: they do not trust us. */
  readonly ignoreFailure: (error: Error) => boolean
  /** Ends the sources: called when no more of them is wanted, so that one that hangs holds up nobody. */
  readonly stop: () => void
}

/** Items of one batch at most. */
const MERGE_BATCH = 250

interface Cursor {
  readonly peer: PeerId
  readonly iterator: AsyncIterator<readonly ReportedStatus[]>
  rows: readonly ReportedStatus[]
  next: number
  /** The row at `next`; `undefined` when more has to be waited for, or at the end. */
  head: ReportedStatus | undefined
  ended: boolean
}

/** Batches are never empty, and never wait for a peer while there is something to tell. */
export async function* mergeStatus(
  sources: readonly StatusSource[],
  options: MergeOptions,
): AsyncGenerator<readonly MergedStatus[]> {
  const cursors = sources.map<Cursor>(({ peer, batches }) => ({
    peer,
    iterator: batches[Symbol.asyncIterator](),
    rows: [],
    next: 0,
    head: undefined,
    ended: false,
  }))
  const failures = new Map<PeerId, PinInfoShort>()
  const refill = async (cursor: Cursor) => {
    try {
      while (cursor.head === undefined && !cursor.ended) {
        const step = await cursor.iterator.next()
        cursor.ended = step.done === true
        cursor.rows = step.done === true ? [] : step.value
        cursor.next = 0
        cursor.head = cursor.rows[0]
      }
    } catch (thrown) {
      const error = asError(thrown)
      cursor.ended = true
      if (!options.ignoreFailure(error))
        failures.set(cursor.peer, options.describeFailure(cursor.peer, error))
    }
  }
  try {
    let merged: MergedStatus[] = []
    while (true) {
      const empty = cursors.filter(cursor => cursor.head === undefined && !cursor.ended)
      if (empty.length > 0) {
        // The next items are asked for while what is there is handled.
        const refilled = Promise.all(empty.map(refill))
        if (merged.length > 0) yield merged
        merged = []
        await refilled
      }
      const item = takeLeast(cursors, failures)
      if (item === undefined) break
      merged.push(item)
      if (merged.length < MERGE_BATCH) continue
      yield merged
      merged = []
    }
    if (merged.length > 0) yield merged
  } finally {
    options.stop()
    await Promise.allSettled(cursors.map(cursor => cursor.iterator.return?.()))
  }
}

/** Takes the least CID off all lists. Every list that has not ended has a head. */
function takeLeast(
  cursors: readonly Cursor[],
  failures: ReadonlyMap<PeerId, PinInfoShort>,
): MergedStatus | undefined {
  let least: Uint8Array | undefined
  let order = 0
  let from = 0
  for (let i = 0; i < cursors.length; i++) {
    const head = cursors[i]?.head
    if (head === undefined) continue
    order = least === undefined ? -1 : compareBytes(head.cid, least)
    if (order >= 0) continue
    least = head.cid
    from = i
  }
  if (least === undefined) return undefined
  const peerMap: Record<PeerId, PinInfoShort> = {}
  let facts: PinFacts | undefined
  for (let i = from; i < cursors.length; i++) {
    const cursor = cursors[i] as Cursor
    const { head } = cursor
    if (head === undefined || (i > from && compareBytes(head.cid, least) !== 0)) continue
    peerMap[cursor.peer] = head.status
    facts ??= head.facts
    cursor.head = cursor.rows[++cursor.next]
  }
  for (const [peer, failure] of failures) peerMap[peer] ??= failure
  return { cid: least, peerMap, facts }
}

/** One object of what several peers say of the same CID. */
export function globalPinInfo(infos: readonly PinInfo[]): GlobalPinInfo {
  const [first] = infos
  if (first === undefined) throw new Error('invariant broken: a status without any peer')
  const peerMap: Record<PeerId, PinInfoShort> = {}
  for (const info of infos) peerMap[info.peer] = shortOf(info)
  // Peers that do not have the pin in their pinset yet know nothing of its name.
  const informed = infos.find(info => info.created !== null) ?? first
  return { cid: informed.cid, ...factsOf(informed), peerMap }
}

export function shortOf(info: PinInfo): PinInfoShort {
  const {
    cid: _,
    name: _n,
    peer: _p,
    allocations: _a,
    origins: _o,
    created: _c,
    metadata: _m,
    ...short
  } = info
  return short
}

export function factsOf({ name, allocations, origins, created, metadata }: PinInfo): PinFacts {
  return { name, allocations, origins, created, metadata }
}

/** The entry of a peer that could not be asked. */
export function failedPeer(
  described: Pick<PinInfoShort, 'peerName' | 'ipfs' | 'ipfsAddresses'>,
  error: string,
  now: bigint,
): PinInfoShort {
  return {
    ...described,
    status: TRACKER_STATUS.cluster_error,
    ts: now,
    error,
    attemptCount: 0,
    priorityPin: false,
  }
}
