import type { Logger } from '@ipfs-cluster/base'
import { CID } from 'multiformats/cid'
import { decode as decodeDigest } from 'multiformats/hashes/digest'
import type { BlockIndex, IndexChange } from './block-index.ts'
import { matches } from './hash.ts'
import { keyOf, MAX_HEADER_BYTES, readHeader, recordLength, type RecordHeader } from './record.ts'
import type { SegmentFiles } from './segment-files.ts'

/** Codec of the CID used to verify a record: any will do, only the hash counts. */
const RAW = 0x55
/** Index rows written together. */
const BATCH_ROWS = 1000

/**
 * Makes the index anew from the segment files: every record that still has its hash gets a row. Pins cannot be recovered this way.
 * A segment is read up to its first unreadable header.
 */
export async function rebuildIndex(index: BlockIndex, files: SegmentFiles, logger: Logger): Promise<void> {
  logger.warn('the block index is empty but segment files are there: rebuilding it from them')
  let damaged = 0
  for (const segment of await files.list()) {
    let offset = 0
    let changes: IndexChange[] = []
    const flush = async () => {
      await index.apply(await withoutKnown(index, changes), { grown: [{ segment, size: offset }] })
      changes = []
    }
    while (true) {
      const record = await readRecord(files, segment, offset)
      if (record === undefined) break
      const { header, data } = record
      const end = offset + recordLength(header.multihash, header.dataLength)
      if (isIntact(header, data)) {
        const to = { segment, offset: end - data.length, length: data.length, leaf: header.leaf }
        changes.push({ multihash: header.multihash, to })
      } else damaged++
      offset = end
      if (changes.length >= BATCH_ROWS) await flush()
    }
    await flush()
  }
  const { bytes, count } = index.totals()
  logger.info({ bytes, blocks: count, damaged }, 'block index rebuilt')
}

/** A block may be in two segments when a compaction was interrupted; the first one found stays. */
async function withoutKnown(index: BlockIndex, changes: readonly IndexChange[]): Promise<IndexChange[]> {
  const known = await index.locateMany(changes.map(({ multihash }) => multihash))
  const seen = new Set<string>()
  return changes.filter(({ multihash }, i) => {
    const key = keyOf(multihash)
    if (known[i] !== undefined || seen.has(key)) return false
    seen.add(key)
    return true
  })
}

async function readRecord(
  files: SegmentFiles,
  segment: number,
  offset: number,
): Promise<{ readonly header: RecordHeader; readonly data: Uint8Array } | undefined> {
  const head = Buffer.alloc(MAX_HEADER_BYTES)
  const length = await files.read(segment, head, offset)
  const header = readHeader(head.subarray(0, length))
  if (header === undefined) return undefined
  const data = new Uint8Array(header.dataLength)
  const start = offset + recordLength(header.multihash, 0)
  return (await files.read(segment, data, start)) === data.length ? { header, data } : undefined
}

function isIntact({ multihash }: RecordHeader, data: Uint8Array): boolean {
  return matches(CID.createV1(RAW, decodeDigest(multihash)), data)
}
