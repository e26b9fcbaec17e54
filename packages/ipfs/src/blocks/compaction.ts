import { errorCode, type AbortOptions, type Logger } from '@ipfs-cluster/base'
import type { BlockIndex, IndexChange } from './block-index.ts'
import { recordLength, type Location } from './record.ts'
import type { SegmentFiles } from './segment-files.ts'
import type { Record, SegmentWriter } from './segment-writer.ts'

/** A segment is rewritten when more than this share of it is dead: disk use stays below 4/3 of the live bytes after a collection. */
const DEAD_SHARE = 0.25
/** Bytes moved, synced and indexed together. */
const MOVE_BYTES = 8 * 1024 * 1024

export interface CompactionComponents {
  readonly index: BlockIndex
  readonly files: SegmentFiles
  readonly writer: SegmentWriter
  /** Runs a step alone; puts go on in between. */
  readonly alone: <T>(step: () => Promise<T>, options?: AbortOptions) => Promise<T>
  readonly logger: Logger
  readonly diskFree: () => Promise<number>
}

type Row = readonly [multihash: Uint8Array, location: Location]

/** Removes segments without live blocks, and empties those that are largely dead into the segment being written. */
export async function compact(
  components: CompactionComponents,
  { signal }: AbortOptions = {},
): Promise<void> {
  const { index } = components
  await dropDead(components, signal)
  const victims = new Set<number>()
  let needed = 0
  for (const [segment, { size, liveBytes }] of index.segments) {
    if (size - liveBytes <= size * DEAD_SHARE) continue
    victims.add(segment)
    needed = Math.max(needed, liveBytes)
  }
  if (victims.size === 0) return
  const available = await components.diskFree()
  if (available < needed) {
    components.logger.warn({ needed, available }, 'not enough free disk to compact segments; skipped')
    return
  }
  let batch: Row[] = []
  let bytes = 0
  const move = async () => {
    const rows = batch
    batch = []
    bytes = 0
    await components.alone(() => moveRows(components, rows, victims), { signal })
  }
  for await (const row of index.entries({ signal })) {
    const [multihash, location] = row
    if (!victims.has(location.segment)) continue
    batch.push(row)
    bytes += recordLength(multihash, location.length)
    if (bytes >= MOVE_BYTES) {
      await move()
      await dropDead(components, signal)
    }
  }
  await move()
  await dropDead(components, signal)
}

async function dropDead(
  { index, files, writer, alone }: CompactionComponents,
  signal?: AbortSignal,
): Promise<void> {
  const dead = [...index.segments].filter(([, { liveCount }]) => liveCount === 0).map(([segment]) => segment)
  for (const segment of dead) {
    await alone(
      async () => {
        // It may have been written to while this waited.
        if (index.segments.get(segment)?.liveCount !== 0) return
        writer.leave(segment)
        await index.dropSegment(segment)
        await files.remove(segment)
      },
      { signal },
    )
  }
}

async function moveRows(
  { index, files, writer, logger }: CompactionComponents,
  rows: readonly Row[],
  victims: ReadonlySet<number>,
): Promise<void> {
  for (const segment of victims) writer.leave(segment)
  const now = await index.locateMany(rows.map(([multihash]) => multihash))
  const records: Record[] = []
  const lost: IndexChange[] = []
  for (const [i, [multihash]] of rows.entries()) {
    const from = now[i]
    // Removed, or dropped and stored anew elsewhere, since the scan saw it.
    if (from === undefined || !victims.has(from.segment)) continue
    const data = new Uint8Array(from.length)
    if (await isRead(files, from, data)) records.push({ multihash, content: { data }, leaf: from.leaf, from })
    else lost.push({ multihash, from })
  }
  if (lost.length > 0) {
    logger.error(
      { blocks: lost.length },
      'blocks are missing from their segment file and were dropped from the index',
    )
    await index.apply(lost)
  }
  if (records.length > 0) await writer.commit(await writer.write(records))
}

async function isRead(
  files: SegmentFiles,
  { segment, offset, length }: Location,
  target: Uint8Array,
): Promise<boolean> {
  try {
    return (await files.read(segment, target, offset)) === length
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false
    throw error
  }
}
