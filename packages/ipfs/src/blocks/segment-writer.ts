import type { Block } from '../types.ts'
import type { BlockIndex, IndexChange } from './block-index.ts'
import { MAX_HEADER_BYTES, recordLength, writeHeader, type Location } from './record.ts'
import type { SegmentFiles } from './segment-files.ts'

/** Data shorter than this is copied together with its neighbours, longer data is written from where it is. */
const COPY_BYTES = 32 * 1024

export interface Record {
  readonly multihash: Uint8Array
  readonly data: Uint8Array
  readonly leaf: boolean
  /** Where it was before, when it is moved. */
  readonly from?: Location
}

export interface NewRecord extends Record {
  readonly block: Block
}

/** Records that are in a segment file but not durable and not in the index yet. */
export interface Written {
  readonly segment: number
  /** Length of the file with these records. */
  readonly size: number
  readonly changes: readonly IndexChange[]
}

/**
 * Appends records in two steps, so that the next ones can be written while the last ones are synced. Calls of the same step must not
 * overlap; `commit` is called in the order of `write`.
 */
export interface SegmentWriter {
  write(records: readonly Record[]): Promise<Written>
  /** Durable when it resolves; after a failure nothing of it is there. */
  commit(written: Written): Promise<void>
  /** Goes on in a new segment when `segment` is the one being written. */
  leave(segment: number): void
}

export function createSegmentWriter(
  index: BlockIndex,
  files: SegmentFiles,
  segmentBytes = 256 * 1024 * 1024,
): SegmentWriter {
  let active = Math.max(1, ...index.segments.keys())
  let tail = index.segments.get(active)?.size ?? 0
  /** After a failed sync nobody knows which bytes are on the disk: nothing more of this segment is committed. */
  let broken: { readonly segment: number; readonly error: unknown } | undefined
  const next = (): void => {
    active++
    tail = 0
  }

  return {
    async write(records) {
      if (tail >= segmentBytes) next()
      const segment = active
      const { buffers, changes, size } = layOut(records, segment, tail)
      try {
        await files.write(segment, buffers, tail)
      } catch (error) {
        // What was written stays behind the committed size, where nobody reads; it is cut off at the next start.
        next()
        throw error
      }
      tail = size
      return { segment, size, changes }
    },
    async commit({ segment, size, changes }) {
      if (broken?.segment === segment) throw broken.error
      try {
        await files.sync(segment)
        await index.apply(changes, { grown: { segment, size }, sync: true })
      } catch (error) {
        broken = { segment, error }
        if (segment === active) next()
        throw error
      }
    },
    leave(segment) {
      if (segment === active) next()
    },
  }
}

function layOut(
  records: readonly Record[],
  segment: number,
  start: number,
): { readonly buffers: Uint8Array[]; readonly changes: IndexChange[]; readonly size: number } {
  const copied = records.reduce((sum, { data }) => sum + (data.length < COPY_BYTES ? data.length : 0), 0)
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
  for (const { multihash, data, leaf, from } of records) {
    used = writeHeader(scratch, used, { multihash, dataLength: data.length, leaf })
    const length = recordLength(multihash, data.length)
    const to = { segment, offset: position + length - data.length, length: data.length, leaf }
    changes.push(from === undefined ? { multihash, to } : { multihash, from, to })
    position += length
    if (data.length < COPY_BYTES) {
      scratch.set(data, used)
      used += data.length
    } else {
      flush()
      buffers.push(data)
    }
  }
  flush()
  return { buffers, changes, size: position }
}
