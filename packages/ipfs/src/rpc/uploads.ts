/** Uploaded objects that are held as a whole. */
import { concatBytes } from '@ipfs-cluster/base'
import { refused } from './errors.ts'
import { SOFT_BLOCK_BYTES } from './limits.ts'
import type { UploadPart } from './types.ts'

/** @throws RpcError `RPC_REFUSED` as soon as there are more than `most` bytes */
export async function wholePart({ kind, content }: UploadPart, most: number): Promise<Uint8Array> {
  if (kind !== 'file') throw refused('expected a file')
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of content) {
    length += chunk.length
    if (length > most) throw refused(`more than ${most} bytes`)
    chunks.push(chunk)
  }
  return concatBytes(chunks)
}

/** @throws RpcError `RPC_REFUSED` */
export function checkBlockSize(length: number, isBigAllowed: boolean): void {
  if (length <= SOFT_BLOCK_BYTES || isBigAllowed) return
  throw refused(
    "produced block is over 2MiB: big blocks can't be exchanged with other peers. consider using UnixFS for automatic chunking of bigger files, or pass --allow-big-block to override",
  )
}
