import { lengthOf, piecesOf, totalLength, type InPieces } from '@ipfs-cluster/base'
import type { Block } from '../types.ts'
import type { BlockIndex, GrownSegment, IndexChange } from './block-index.ts'
import { MAX_HEADER_BYTES, recordLength, writeHeader, type Location } from './record.ts'
import { LANES, type SegmentFiles } from './segment-files.ts'

/** Data shorter than this is copied together with its neighbours, longer data is written from where it is. */
const COPY_BYTES = 32 * 1024
/** Records with more bytes than this are written to two segments at once: the system lets one thread write to a file at a time. */
const SPLIT_BYTES = 1024 * 1024

export interface Record {
  readonly multihash: Uint8Array
  readonly content: InPieces
  readonly leaf: boolean
  /** Where it was before, when it is moved. */
  readonly from?: Location
}

export interface NewRecord extends Record {
  readonly content: Block
}

/** Records that are in segment files but not durable and not in the index yet. */
export interface Written {
  /** The files with these records, as long as they are now. */
  readonly grown: readonly GrownSegment[]
  readonly changes: readonly IndexChange[]
}

/**
 * Appends records in two steps, so that the next ones can be written while the last ones are synced. Calls of the same step must not
 * overlap; `commit` is called in the order of `write`.
 */
export interface SegmentWriter {
  write(records: readonly Record[]): Promise<Written>
  /** Durable when it resolves; after a failure nothing of it is there. Calls `onCounted` as the index does. */
  commit(written: Written, onCounted?: () => void): Promise<void>
  /** Goes on in a new segment when `segment` is one being written. */
  leave(segment: number): void
}

/** A segment that is being written, and its length. */
interface Lane {
  segment: number
  tail: number
}

export function createSegmentWriter(
  index: BlockIndex,
  files: SegmentFiles,
  segmentBytes = 256 * 1024 * 1024,
): SegmentWriter {
  let highest = Math.max(0, ...index.segments.keys())
  const lanes: Lane[] = [...index.segments]
    .filter(([, { size }]) => size < segmentBytes)
    .sort(([a], [b]) => b - a)
    .slice(0, LANES)
    .map(([segment, { size }]) => ({ segment, tail: size }))
  while (lanes.length < LANES) lanes.push({ segment: ++highest, tail: 0 })
  /** After a failed sync nobody knows which bytes of these are on the disk: nothing more is committed of what was written to them meanwhile. */
  let broken: { readonly segments: ReadonlySet<number>; readonly error: unknown } | undefined
  const leave = (segment: number): void => {
    for (const lane of lanes.filter(each => each.segment === segment)) {
      lane.segment = ++highest
      lane.tail = 0
    }
  }

  const append = async (lane: Lane, records: readonly Record[]) => {
    if (lane.tail >= segmentBytes) leave(lane.segment)
    const { segment } = lane
    const { buffers, changes, size } = layOut(records, segment, lane.tail)
    await files.write(segment, buffers, lane.tail)
    // Meanwhile the segment may have been left.
    if (lane.segment === segment) lane.tail = size
    return { segment, size, changes }
  }

  return {
    async write(records) {
      const parts = split(records)
      const used = lanes.slice(0, parts.length)
      try {
        const appended = await allOf(used.map((lane, at) => append(lane, parts[at] ?? [])))
        return { grown: appended, changes: appended.flatMap(({ changes }) => changes) }
      } catch (error) {
        // What was written stays behind the committed sizes, where nobody reads; it is cut off at the next start.
        for (const { segment } of used) leave(segment)
        throw error
      }
    },
    async commit({ grown, changes }, onCounted = () => undefined) {
      if (grown.some(({ segment }) => broken?.segments.has(segment))) throw broken?.error
      try {
        await allOf(grown.map(({ segment }) => files.sync(segment)))
        await index.apply(changes, { grown, sync: true, onCounted })
      } catch (error) {
        broken = { segments: new Set(grown.map(({ segment }) => segment)), error }
        for (const { segment } of grown) leave(segment)
        throw error
      }
    },
    leave,
  }
}

/** Resolves or rejects when all have ended. */
async function allOf<T>(works: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(works)
  return await Promise.all(works)
}

/** Two halves of many bytes, or all of few. */
function split(records: readonly Record[]): (readonly Record[])[] {
  const bytes = records.reduce((sum, { content }) => sum + lengthOf(content), 0)
  if (bytes <= SPLIT_BYTES || records.length < LANES) return [records]
  let half = 0
  let at = 0
  while (at < records.length - 1 && half < bytes / LANES) half += lengthOf((records[at++] as Record).content)
  return [records.slice(0, at), records.slice(at)]
}

function layOut(
  records: readonly Record[],
  segment: number,
  start: number,
): { readonly buffers: Uint8Array[]; readonly changes: IndexChange[]; readonly size: number } {
  const isCopied = (piece: Uint8Array) => piece.length < COPY_BYTES
  const copied = records.reduce(
    (sum, { content }) => sum + totalLength(piecesOf(content).filter(isCopied)),
    0,
  )
  const scratch = Buffer.allocUnsafe(copied + records.length * MAX_HEADER_BYTES)
  const buffers: Uint8Array[] = []
  const changes: IndexChange[] = []
  let used = 0
  let flushed = 0
  let position = start
  const flush = (): void => {
    if (used > flushed) buffers.push(scratch.subarray(flushed, used))
    flushed = used
  }
  for (const { multihash, content, leaf, from } of records) {
    const dataLength = lengthOf(content)
    used = writeHeader(scratch, used, { multihash, dataLength, leaf })
    const length = recordLength(multihash, dataLength)
    const to = { segment, offset: position + length - dataLength, length: dataLength, leaf }
    changes.push(from === undefined ? { multihash, to } : { multihash, from, to })
    position += length
    for (const piece of piecesOf(content)) {
      if (isCopied(piece)) {
        scratch.set(piece, used)
        used += piece.length
      } else {
        flush()
        buffers.push(piece)
      }
    }
  }
  flush()
  return { buffers, changes, size: position }
}
