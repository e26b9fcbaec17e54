import { cidOfBytes } from '@ipfs-cluster/api'
import type { AbortOptions, Clock, Random } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { IpfsConnector } from '../ipfsconn/index.ts'
import { fingerprint, FINGERPRINT_LIMIT, NumberSet } from './fingerprints.ts'
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
  /** Pins of the daemon kept in memory at a time (16 bytes each); with more the daemon is asked again for the rest. */
  readonly maxPinsInMemory: number
}

export const DEFAULT_AUDIT_LIMITS: AuditLimits = { maxPinsInMemory: 4_000_000 }

/** Milliseconds that one listing of the daemon's pins may take. */
export const PIN_LS_DEADLINE_MS = 3_600_000
/** Rows written in one batch. */
const LOST_BATCH = 500

/**
 * Finds rows that say `pinned` while the daemon's list does not have them, and queues them.
 * Pins that changed while the list was read are left to the next audit.
 */
export async function audit(
  components: AuditComponents,
  limits: AuditLimits,
  options: AbortOptions = {},
): Promise<{ checked: number; lost: number }> {
  const { table, clock, random } = components
  const seed = random.int(2 ** 31)
  const startedAt = clock.now()
  const total = { checked: 0, lost: 0 }
  if (table.counts().pinned === 0) return total
  for (let from = 0; from < FINGERPRINT_LIMIT;) {
    const { pins, to } = await collect(components, from, seed, limits, options)
    const isMissing = (cid: Uint8Array, row: Row) => {
      const mark = fingerprint(cid, seed)
      if (row.status !== 'pinned' || row.changed >= startedAt || mark < from || mark >= to) return false
      total.checked++
      // What is pinned recursively is pinned directly, too.
      return !pins.has(entryOf(mark, 'recursive')) && !(row.direct && pins.has(entryOf(mark, 'direct')))
    }
    total.lost += await markMissing(components, isMissing, options)
    from = to
  }
  return total
}

/** The daemon's pins with fingerprints in [from, to), `to` being as high as the memory allows. */
async function collect(
  { ipfs, table, clock }: AuditComponents,
  from: number,
  seed: number,
  { maxPinsInMemory }: AuditLimits,
  options: AbortOptions,
): Promise<{ readonly pins: NumberSet; readonly to: number }> {
  const { signal } = options
  const deadline = clock.timeout(PIN_LS_DEADLINE_MS)
  const pins = new NumberSet(Math.min(table.counts().pinned, maxPinsInMemory))
  let to = FINGERPRINT_LIMIT
  const list = ipfs.pinLs({ signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]) })
  const rests = createRests(clock, options)
  for await (const { cid, type } of list) {
    if (rests.isDue()) await rests.rest()
    if (type !== 'recursive' && type !== 'direct') continue
    const mark = fingerprint(cid.bytes, seed)
    if (mark < from || mark >= to) continue
    pins.add(entryOf(mark, type))
    while (pins.size > maxPinsInMemory && to - from > 1) {
      to = from + Math.ceil((to - from) / 2)
      const end = to
      pins.filter(entry => Math.floor(entry / 2) < end)
    }
  }
  return { pins, to }
}

function entryOf(mark: number, type: 'recursive' | 'direct'): number {
  return mark * 2 + (type === 'direct' ? 1 : 0)
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
