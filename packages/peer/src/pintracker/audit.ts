import { cidOfBytes } from '@ipfs-cluster/api'
import type { AbortOptions, Clock, Random } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { IpfsConnector } from '../ipfsconn/index.ts'
import { CidFilter } from './cid-filter.ts'
import type { Row } from './rows.ts'
import type { Applied, TableEvent, TrackerTable } from './table.ts'

export interface AuditComponents {
  readonly table: TrackerTable
  readonly ipfs: Pick<IpfsConnector, 'pinLs'>
  readonly clock: Clock
  readonly random: Random
  /** After lost pins have been written down; inside `exclusive`. */
  readonly noticed: (applied: readonly Applied[]) => void
}

export interface AuditLimits {
  /** Of the filter of the daemon's pins; a power of two. With more pins than it has room for, more of the lost ones wait for a later audit. */
  readonly maxFilterBytes: number
}

/** 22 million pins have `BITS_PER_PIN`, and of the lost ones an audit overlooks one in 24,000 at most; of 80 million it is one in 18. */
export const DEFAULT_AUDIT_LIMITS: AuditLimits = { maxFilterBytes: 2 ** 26 }

/** Milliseconds that one listing of the daemon's pins may take. */
export const PIN_LS_DEADLINE_MS = 3_600_000
/** In the filter, what is pinned recursively and directly. */
const KINDS = { recursive: 0, direct: 1 } as const
const BITS_PER_PIN = 24
const MIN_FILTER_BITS = 2 ** 20
/** Rows written in one batch. */
const LOST_BATCH = 500

/**
 * Finds rows that say `pinned` while the daemon's list does not have them, and queues them. The list is read once and kept as a Bloom filter:
 * what is queued was lost for certain, what was overlooked is found by one of the next audits, whose seeds differ.
 * Pins that changed while the list was read are left to the next audit.
 */
export async function audit(
  components: AuditComponents,
  limits: AuditLimits,
  options: AbortOptions = {},
): Promise<{ checked: number; lost: number }> {
  const { table, clock } = components
  const startedAt = clock.now()
  if (table.counts().pinned === 0) return { checked: 0, lost: 0 }
  const pins = await collect(components, limits, options)
  let checked = 0
  const isMissing = (cid: Uint8Array, row: Row) => {
    if (row.status !== 'pinned' || row.changed >= startedAt) return false
    checked++
    // What is pinned recursively is pinned directly, too.
    return !pins.has(cid, KINDS.recursive) && !(row.direct && pins.has(cid, KINDS.direct))
  }
  const lost = await markMissing(components, isMissing, options)
  return { checked, lost }
}

/** Reads the daemon's list; once more when it turns out to have many more pins than ours, for which the filter was made. */
async function collect(
  components: AuditComponents,
  { maxFilterBytes }: AuditLimits,
  options: AbortOptions,
): Promise<CidFilter> {
  const { table, random } = components
  const bitsFor = (pins: number) => {
    const wanted = Math.max(MIN_FILTER_BITS, 2 ** Math.ceil(Math.log2(pins * BITS_PER_PIN)))
    return Math.min(maxFilterBytes * 8, wanted)
  }
  let bits = bitsFor(table.counts().pinned)
  while (true) {
    const pins = new CidFilter(bits, random.int(2 ** 31))
    await readInto(pins, components, options)
    if (bitsFor(pins.size / 2) <= bits) return pins
    bits = bitsFor(pins.size)
  }
}

async function readInto(
  pins: CidFilter,
  { ipfs, clock }: AuditComponents,
  options: AbortOptions,
): Promise<void> {
  const { signal } = options
  const deadline = clock.timeout(PIN_LS_DEADLINE_MS)
  const list = ipfs.pinLs({ signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]) })
  const rests = createRests(clock, options)
  for await (const { cid, type } of list) {
    if (rests.isDue()) await rests.rest()
    if (type === 'recursive' || type === 'direct') pins.add(cid.bytes, KINDS[type])
  }
}

async function markMissing(
  { table, noticed, clock }: AuditComponents,
  isMissing: (cid: Uint8Array, row: Row) => boolean,
  options: AbortOptions,
): Promise<number> {
  let lost = 0
  let batch: TableEvent[] = []
  const write = async () => {
    const events = batch
    batch = []
    if (events.length === 0) return
    await table.exclusive(async () => {
      const applied = await table.apply(events)
      noticed(applied)
      lost += applied.filter(({ before, row }) => before !== row).length
    }, options)
  }
  const rests = createRests(clock, options)
  for await (const [cid, row] of table.entries(options)) {
    if (rests.isDue()) await rests.rest()
    if (!isMissing(cid, row)) continue
    batch.push(lostEvent(cidOfBytes(cid), row))
    if (batch.length >= LOST_BATCH) await write()
  }
  await write()
  return lost
}

/** Rows after which an audit rests for as long as they took: a million of them must not keep requests and pins waiting. */
const REST_ROWS = 1_000
/** Milliseconds of such a rest at most: what took longer was waiting, not work. */
const LONGEST_REST_MS = 50

function createRests(clock: Clock, options: AbortOptions) {
  let rows = 0
  let since = clock.monotonic()
  return {
    isDue: () => ++rows % REST_ROWS === 0,
    async rest() {
      const took = clock.monotonic() - since
      if (took > 0) await clock.sleep(Math.min(LONGEST_REST_MS, took), options)
      since = clock.monotonic()
    },
  }
}

/** The event for a pin that the daemon turns out not to have. */
export function lostEvent(cid: CID, { generation }: Row): TableEvent {
  return { cid, event: { type: 'lost', generation } }
}
