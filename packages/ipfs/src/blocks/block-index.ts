import {
  concatBytes,
  prefixRange,
  utf8,
  type AbortOptions,
  type Store,
  type StoreOp,
} from '@ipfs-cluster/base'
import {
  decodeLocation,
  decodeStats,
  encodeLocation,
  encodeStats,
  recordLength,
  type Location,
  type SegmentStats,
} from './record.ts'

const BLOCK_PREFIX = utf8('b')
const SEGMENT_PREFIX = utf8('s')

/** A block's move from one place (none: it is new) to another (none: it is removed). */
export interface IndexChange {
  readonly multihash: Uint8Array
  readonly from?: Location
  readonly to?: Location
}

/** A segment that was appended to, with its new length. */
export interface GrownSegment {
  readonly segment: number
  readonly size: number
}

/**
 * Which block lies where, and how much of each segment is alive. Calls of `apply` and `dropSegment` must not overlap: the statistics
 * are absolute values.
 */
export interface BlockIndex {
  readonly segments: ReadonlyMap<number, SegmentStats>
  /** Of all records in the index: bytes with their headers, and number. */
  totals(): { readonly bytes: number; readonly count: number }
  locate(multihash: Uint8Array): Promise<Location | undefined>
  locateMany(multihashes: readonly Uint8Array[]): Promise<(Location | undefined)[]>
  entries(options?: AbortOptions): AsyncIterable<readonly [multihash: Uint8Array, location: Location]>
  /** One atomic batch. Calls `onCounted` at the moment at which `totals` have it. */
  apply(
    changes: readonly IndexChange[],
    options?: {
      readonly grown?: readonly GrownSegment[]
      readonly sync?: boolean
      readonly onCounted?: () => void
    },
  ): Promise<void>
  /** Forgets a segment without live records; durable when it returns. */
  dropSegment(segment: number): Promise<void>
}

export async function openBlockIndex(store: Store): Promise<BlockIndex> {
  const segments = new Map<number, SegmentStats>()
  for await (const [key, row] of store.entries(prefixRange(SEGMENT_PREFIX))) {
    segments.set(segmentOf(key), decodeStats(row))
  }
  const totals = { bytes: 0, count: 0 }
  for (const { liveBytes, liveCount } of segments.values()) {
    totals.bytes += liveBytes
    totals.count += liveCount
  }
  const setStats = (segment: number, stats: SegmentStats): void => {
    const before = segments.get(segment)
    totals.bytes += stats.liveBytes - (before?.liveBytes ?? 0)
    totals.count += stats.liveCount - (before?.liveCount ?? 0)
    segments.set(segment, stats)
  }

  return {
    segments,
    totals: () => ({ ...totals }),
    async locate(multihash) {
      const row = await store.get(blockKey(multihash))
      return row === undefined ? undefined : decodeLocation(row)
    },
    async locateMany(multihashes) {
      const rows = await store.getMany(multihashes.map(blockKey))
      return rows.map(row => (row === undefined ? undefined : decodeLocation(row)))
    },
    async *entries(options) {
      for await (const [key, row] of store.entries(prefixRange(BLOCK_PREFIX), options)) {
        yield [key.subarray(BLOCK_PREFIX.length), decodeLocation(row)]
      }
    },
    async apply(changes, { grown = [], sync = false, onCounted } = {}) {
      const stats = statsAfter(segments, changes, grown)
      const ops: StoreOp[] = changes.map(({ multihash, to }) =>
        to === undefined
          ? { type: 'del', key: blockKey(multihash) }
          : { type: 'put', key: blockKey(multihash), value: encodeLocation(to) },
      )
      for (const [segment, row] of stats) {
        ops.push({ type: 'put', key: segmentKey(segment), value: encodeStats(row) })
      }
      await store.batch(ops, { sync })
      for (const [segment, row] of stats) setStats(segment, row)
      onCounted?.()
    },
    async dropSegment(segment) {
      await store.batch([{ type: 'del', key: segmentKey(segment) }], { sync: true })
      setStats(segment, { size: 0, liveBytes: 0, liveCount: 0 })
      segments.delete(segment)
    },
  }
}

function statsAfter(
  segments: ReadonlyMap<number, SegmentStats>,
  changes: readonly IndexChange[],
  grown: readonly GrownSegment[],
): Map<number, SegmentStats> {
  const out = new Map<number, SegmentStats>()
  const current = (segment: number): SegmentStats =>
    out.get(segment) ?? segments.get(segment) ?? { size: 0, liveBytes: 0, liveCount: 0 }
  const count = (location: Location | undefined, multihash: Uint8Array, sign: 1 | -1): void => {
    if (location === undefined) return
    const stats = current(location.segment)
    out.set(location.segment, {
      size: stats.size,
      liveBytes: stats.liveBytes + sign * recordLength(multihash, location.length),
      liveCount: stats.liveCount + sign,
    })
  }
  for (const { multihash, from, to } of changes) {
    count(from, multihash, -1)
    count(to, multihash, 1)
  }
  for (const { segment, size } of grown) out.set(segment, { ...current(segment), size })
  return out
}

function blockKey(multihash: Uint8Array): Uint8Array {
  return concatBytes([BLOCK_PREFIX, multihash])
}

function segmentKey(segment: number): Uint8Array {
  const number = new Uint8Array(4)
  new DataView(number.buffer).setUint32(0, segment)
  return concatBytes([SEGMENT_PREFIX, number])
}

function segmentOf(key: Uint8Array): number {
  return new DataView(key.buffer, key.byteOffset, key.byteLength).getUint32(SEGMENT_PREFIX.length)
}
