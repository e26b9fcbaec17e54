/** How far a pin under way has come, how fast, and what of its space is still to be taken. Pure. */
import type { PinProgress } from '@ipfs-cluster/api'
import type { IpfsPinProgress } from '../ipfsconn/index.ts'
import type { Operation } from './operations.ts'

interface Mark {
  /** Unix ms. */
  readonly at: number
  readonly bytes: number
}

/** What an operation remembers of its progress. */
export interface Pace {
  readonly latest: IpfsPinProgress
  /** Where it stood some seconds ago: the rate is measured from the first of them. */
  readonly marks: readonly [Mark, Mark]
}

/** Milliseconds between two marks: the rate is that of the last one to two of them. */
const MARK_MS = 5_000

/** @param now Unix ms. */
export function advance(pace: Pace | undefined, latest: IpfsPinProgress, now: number): Pace {
  const mark = { at: now, bytes: latest.bytes ?? 0 }
  if (pace === undefined) return { latest, marks: [mark, mark] }
  const [, newer] = pace.marks
  return { latest, marks: now - newer.at < MARK_MS ? pace.marks : [newer, mark] }
}

/** @param size of the content, where the pin says; the daemon's word goes before it. */
export function pinProgress({ latest, marks }: Pace, size: bigint | undefined, now: number): PinProgress {
  const { blocks, bytes = 0, totalBytes } = latest
  const [from] = marks
  const total = totalBytes === undefined ? size : BigInt(totalBytes)
  return {
    blocks,
    bytes: BigInt(bytes),
    ...(total === undefined ? {} : { totalBytes: total }),
    bytesPerSecond: now > from.at ? Math.round(((bytes - from.bytes) * 1000) / (now - from.at)) : 0,
  }
}

/** Bytes that the pins under way have fetched or found. */
export function bytesUnderWay(operations: Iterable<Operation>): number {
  let sum = 0
  for (const { state, progress } of operations) if (state === 'running') sum += progress?.latest.bytes ?? 0
  return sum
}

/**
 * Bytes that pins here have yet to take of the disk, as far as their sizes are known: those that wait, and of those under way what is
 * missing.
 *
 * @param waiting known sizes of the rows that wait, those of `counted` operations among them.
 */
export function reservedBytes(waiting: number, operations: Iterable<Operation>): number {
  let sum = waiting
  for (const { state, kind, counted, size, kept, progress } of operations) {
    if (kind !== 'pin' || state === 'ready' || kept) continue
    if (counted) sum -= size
    const { bytes = 0, totalBytes = size } = progress?.latest ?? {}
    if (state === 'running') sum += Math.max(0, totalBytes - bytes)
  }
  return Math.max(0, sum)
}
