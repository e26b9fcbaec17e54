/** The list of one member, as a source of the merge: ours in pages, a Go peer's sorted first; each within its time. */
import type { PeerId, PinInfo, TrackerStatus } from '@ipfs-cluster/api'
import { compareBytes, readAhead, type AbortOptions, type Clock } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import {
  decodeStatusRows,
  encodeStatusRows,
  RPC,
  type Network,
  type StatusPage,
  type StatusPagesRequest,
  type StatusSpeaker,
} from '../net/index.ts'
import type { PinTracker } from '../pintracker/index.ts'
import { factsOf, shortOf, type ReportedStatus } from './merge-status.ts'
import { patiently, type PatienceLimits } from './patience.ts'
import { sortedByCid, type OpenScratch } from './sort-by-cid.ts'

/**
 * What a peer of ours may take for its list: it speaks at once, and from then on tells page by page what it has looked at. Whoever is slower
 * is reported as failed, so that it holds up the others no longer than this.
 */
export const PAGES_PATIENCE: PatienceLimits = { reserveMs: 3_000, perItemMs: 0.2 }
/** The same for a Go peer, which lists its daemon's pins before its first item. */
export const UNORDERED_PATIENCE: PatienceLimits = { reserveMs: 15_000, perItemMs: 1 }
/** Batches taken from a list before they are needed, so that no peer waits for another. A page is of some 20 KiB. */
const READ_AHEAD = 2

export interface SourceComponents {
  readonly network: Pick<Network, 'peerId' | 'rpc'>
  readonly tracker: Pick<PinTracker, 'statusBatches'>
  readonly clock: Clock
  readonly openScratch: OpenScratch
  /** Bytes of a list in no order that are sorted in memory. @default SORT_MEMORY_BYTES */
  readonly sortMemoryBytes?: number
}

export interface StatusSelection {
  /** 0: everything. */
  readonly filter: TrackerStatus
  /** Resumes behind this CID. */
  readonly after: CID | undefined
}

type Batches = AsyncIterable<readonly ReportedStatus[]>

/** Statuses of this selection on a member, in the order of CID bytes. */
export function statusesOn(
  components: SourceComponents,
  peer: PeerId,
  selection: StatusSelection,
  signal: AbortSignal,
): Batches {
  const { network, tracker } = components
  if (peer !== network.peerId) return readAhead(remoteList(components, peer, selection, signal), READ_AHEAD)
  return readAhead(rowsOf(tracker.statusBatches(selection.filter, { ...selection, signal, facts: false })), 1)
}

/** A list in no certain order, brought into that of CID bytes. */
export async function* inOrder(
  { clock, openScratch, sortMemoryBytes }: SourceComponents,
  signal: AbortSignal,
  open: (signal: AbortSignal) => AsyncIterable<PinInfo>,
): AsyncGenerator<readonly ReportedStatus[]> {
  const items = patiently(clock, UNORDERED_PATIENCE, signal, open, () => 1)
  for await (const batch of sortedByCid(items, openScratch, { signal }, sortMemoryBytes))
    yield batch.map(reportOf)
}

/** The answer to `StatusPages`. The first page comes at once: it says that there is somebody. */
export async function* statusPages(
  tracker: Pick<PinTracker, 'statusBatches'>,
  speaker: () => StatusSpeaker,
  { filter, after }: StatusPagesRequest,
  { signal }: AbortOptions,
): AsyncGenerator<StatusPage> {
  const who = speaker()
  yield { speaker: who, scanned: 0, rows: new Uint8Array(0) }
  const options = { after: after ?? undefined, facts: false, signal }
  for await (const infos of tracker.statusBatches(filter, options)) {
    yield { speaker: null, scanned: STATUS_PAGE_ROWS, rows: encodeStatusRows(infos) }
  }
}

/** Rows that the tracker looks at for a batch. */
const STATUS_PAGE_ROWS = 500

async function* remoteList(
  components: SourceComponents,
  peer: PeerId,
  { filter, after }: StatusSelection,
  signal: AbortSignal,
): AsyncGenerator<readonly ReportedStatus[]> {
  const { network, clock } = components
  const { StatusPages, StatusAll } = RPC.PinTracker
  const request = { filter, after: after ?? null }
  const pages = patiently(
    clock,
    PAGES_PATIENCE,
    signal,
    each => network.rpc.stream(peer, StatusPages, [request], { signal: each }),
    page => page.scanned,
  )
  try {
    yield* decoded(pages)
  } catch (error) {
    if (!isUnknownMethod(error)) throw error
    const items = (each: AbortSignal) => network.rpc.stream(peer, StatusAll, [filter], { signal: each })
    yield* behind(after, inOrder(components, signal, items))
  }
}

async function* decoded(pages: AsyncIterable<StatusPage>): AsyncGenerator<readonly ReportedStatus[]> {
  let by: StatusSpeaker = { peerName: '', ipfs: '', ipfsAddresses: [] }
  let last: Uint8Array | undefined
  for await (const { speaker, rows: packed } of pages) {
    by = speaker ?? by
    const rows = decodeStatusRows(packed, by, last)
    if (rows.length === 0) continue
    last = rows[rows.length - 1]?.cid
    yield rows
  }
}

async function* rowsOf(
  batches: AsyncIterable<readonly PinInfo[]>,
): AsyncGenerator<readonly ReportedStatus[]> {
  for await (const batch of batches) yield batch.map(info => ({ cid: info.cid.bytes, status: shortOf(info) }))
}

/** Leaves out what comes before: a Go peer lists everything. */
async function* behind(after: CID | undefined, batches: Batches): AsyncGenerator<readonly ReportedStatus[]> {
  for await (const batch of batches) {
    yield after === undefined ? batch : batch.filter(({ cid }) => compareBytes(cid, after.bytes) > 0)
  }
}

function reportOf(info: PinInfo): ReportedStatus {
  // Peers that do not have the pin in their pinset know nothing of its name.
  return {
    cid: info.cid.bytes,
    status: shortOf(info),
    facts: info.created === null ? undefined : factsOf(info),
  }
}

/** What a peer answers that does not have the method. */
export function isUnknownMethod(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("rpc: can't find method")
}
