import * as dagPb from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import type { CID } from 'multiformats/cid'
import { checkedCid } from '../cid-text.ts'
import { IpfsNodeError } from '../errors.ts'

/** Blocks read ahead of the consumer. */
const LOOK_AHEAD_BLOCKS = 16

const RAW = 0x55

export type ReadBlock = (cid: CID, signal: AbortSignal) => Promise<Uint8Array>

/** A part of the file still to come: a block not decoded yet, or bytes. */
type Part = Unread | { readonly bytes: Uint8Array; readonly start: number }

interface Unread {
  readonly cid: CID
  /** Position in the file, and length as the parent states it. */
  readonly start: number
  readonly length: number
  loading: Promise<Uint8Array> | undefined
}

/**
 * The bytes `[from, to)` of a UnixFS file, in order, reading a bounded number of blocks ahead. The reading stops when the consumer leaves.
 * (The exporter's own content iterator reads the whole file into memory when its consumer is slow.)
 *
 * @throws IpfsNodeError `IPFS_NOT_UNIXFS` when the DAG is not a file or contradicts its own sizes; what `read` throws.
 */
export async function* readFile(
  file: { readonly cid: CID; readonly size: number },
  from: number,
  to: number,
  read: ReadBlock,
): AsyncGenerator<Uint8Array> {
  if (from >= to) return
  const controller = new AbortController()
  // The next part is the last.
  const parts: Part[] = [{ cid: file.cid, start: 0, length: file.size, loading: undefined }]
  const load = (part: Unread): Promise<Uint8Array> => {
    if (part.loading === undefined) {
      part.loading = read(part.cid, controller.signal)
      // It may never be awaited, when the consumer leaves before.
      part.loading.catch(() => undefined)
    }
    return part.loading
  }
  try {
    while (true) {
      for (const part of parts.slice(-LOOK_AHEAD_BLOCKS)) if ('cid' in part) void load(part)
      const part = parts.pop()
      if (part === undefined) return
      if ('bytes' in part) {
        const bytes = part.bytes.subarray(Math.max(0, from - part.start), to - part.start)
        if (bytes.length > 0) yield bytes
        continue
      }
      const data = await load(part)
      for (const child of expand(part, data).toReversed()) {
        const length = 'cid' in child ? child.length : child.bytes.length
        if (child.start < to && child.start + length > from) parts.push(child)
      }
    }
  } finally {
    controller.abort(new DOMException('the reader left', 'AbortError'))
  }
}

function expand(
  part: { readonly cid: CID; readonly start: number; readonly length: number },
  data: Uint8Array,
): Part[] {
  const { cid, start } = part
  if (cid.code === RAW) return [checked(part, data)]
  if (cid.code !== dagPb.code) throw notAFile(cid, 'a part of it has another format')
  const { unixfs, links } = decodeNode(cid, data)
  if (links.length !== unixfs.blockSizes.length) throw notAFile(cid, 'a node has not one size for each link')
  const own = unixfs.data ?? new Uint8Array(0)
  if (links.length === 0) return [checked(part, own)]
  const parts: Part[] = own.length > 0 ? [{ bytes: own, start }] : []
  let position = start + own.length
  for (const [i, link] of links.entries()) {
    const length = Number(unixfs.blockSizes[i])
    parts.push({ cid: link.Hash, start: position, length, loading: undefined })
    position += length
  }
  if (position !== start + part.length) throw notAFile(cid, 'its sizes contradict each other')
  return parts
}

/** A wrong length would shift everything behind it. */
function checked(
  { cid, start, length }: { cid: CID; start: number; length: number },
  bytes: Uint8Array,
): Part {
  if (bytes.length !== length)
    throw notAFile(cid, `a part of it has ${bytes.length} bytes instead of ${length}`)
  return { bytes, start }
}

function decodeNode(
  cid: CID,
  data: Uint8Array,
): { readonly unixfs: UnixFS; readonly links: readonly dagPb.PBLink[] } {
  try {
    const node = dagPb.decode(data)
    for (const { Hash } of node.Links) checkedCid(Hash)
    if (node.Data === undefined) throw new Error('no data field')
    const unixfs = UnixFS.unmarshal(node.Data)
    if (unixfs.type !== 'file' && unixfs.type !== 'raw') throw new Error(`type ${unixfs.type}`)
    return { unixfs, links: node.Links }
  } catch (cause) {
    throw notAFile(cid, 'a node of it is not UnixFS', cause)
  }
}

function notAFile(cid: CID, why: string, cause?: unknown): IpfsNodeError {
  return new IpfsNodeError(
    `${cid} is not a readable UnixFS file: ${why}`,
    { code: 'IPFS_NOT_UNIXFS', path: cid.toString() },
    cause === undefined ? undefined : { cause },
  )
}
