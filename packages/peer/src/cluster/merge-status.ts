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

export interface StatusSource {
  readonly peer: PeerId
  /** In the order of CID bytes. */
  readonly items: AsyncIterable<PinInfo>
}

export interface MergeOptions {
  /** A failed peer, as an entry of `peerMap`. */
  readonly describeFailure: (peer: PeerId, error: Error) => PinInfoShort
  /** Peers whose failure is no news: they do not trust us. */
  readonly ignoreFailure: (error: Error) => boolean
  /** Ends the sources: called when no more of them is wanted, so that one that hangs holds up nobody. */
  readonly stop: () => void
}

interface Cursor {
  readonly peer: PeerId
  readonly iterator: AsyncIterator<PinInfo>
  head: PinInfo | undefined
}

export async function* mergeStatus(
  sources: readonly StatusSource[],
  options: MergeOptions,
): AsyncGenerator<GlobalPinInfo> {
  const cursors = sources.map<Cursor>(({ peer, items }) => ({
    peer,
    iterator: items[Symbol.asyncIterator](),
    head: undefined,
  }))
  const failures = new Map<PeerId, PinInfoShort>()
  const advance = async (cursor: Cursor) => {
    try {
      const step = await cursor.iterator.next()
      cursor.head = step.done === true ? undefined : step.value
    } catch (thrown) {
      const error = asError(thrown)
      cursor.head = undefined
      if (!options.ignoreFailure(error))
        failures.set(cursor.peer, options.describeFailure(cursor.peer, error))
    }
  }
  try {
    await Promise.all(cursors.map(advance))
    while (true) {
      const due = leastCursors(cursors)
      const [first] = due
      if (first?.head === undefined) return
      const infos = due.map(cursor => cursor.head).filter(head => head !== undefined)
      await Promise.all(due.map(advance))
      yield globalPinInfo(infos, failures)
    }
  } finally {
    options.stop()
    await Promise.allSettled(cursors.map(cursor => cursor.iterator.return?.()))
  }
}

/** One object of what several peers say of the same CID. */
export function globalPinInfo(
  infos: readonly PinInfo[],
  failures: ReadonlyMap<PeerId, PinInfoShort> = new Map(),
): GlobalPinInfo {
  const [first] = infos
  if (first === undefined) throw new Error('invariant broken: a status without any peer')
  const peerMap: Record<PeerId, PinInfoShort> = {}
  for (const info of infos) peerMap[info.peer] = shortOf(info)
  for (const [peer, failure] of failures) peerMap[peer] ??= failure
  // Peers that do not have the pin in their pinset yet know nothing of its name.
  const informed = infos.find(info => info.created !== null) ?? first
  const { cid, name, allocations, origins, created, metadata } = informed
  return { cid, name, allocations, origins, created, metadata, peerMap }
}

export function shortOf(info: PinInfo): PinInfoShort {
  const { peerName, ipfs, ipfsAddresses, status, ts, error, attemptCount, priorityPin } = info
  return { peerName, ipfs, ipfsAddresses, status, ts, error, attemptCount, priorityPin }
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

/** Brings a list of unknown order into the order that `mergeStatus` needs. */
export async function* sortedByCid(items: AsyncIterable<PinInfo>): AsyncGenerator<PinInfo> {
  const all = await Array.fromAsync(items)
  yield* all.sort((a, b) => compareBytes(a.cid.bytes, b.cid.bytes))
}

function leastCursors(cursors: readonly Cursor[]): Cursor[] {
  let least: Cursor[] = []
  for (const cursor of cursors) {
    if (cursor.head === undefined) continue
    const best = least[0]?.head
    const order = best === undefined ? -1 : compareBytes(cursor.head.cid.bytes, best.cid.bytes)
    if (order < 0) least = [cursor]
    else if (order === 0) least.push(cursor)
  }
  return least
}
