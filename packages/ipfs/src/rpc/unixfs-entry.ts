/** What a block is as UnixFS, from its own bytes. */
import { UnixFS } from 'ipfs-unixfs'
import type { CID } from 'multiformats/cid'
import * as dagPb from '@ipld/dag-pb'
import { isLeafCodec, statedSize } from '../links.ts'
import { decodePb } from './paths.ts'
import { refused } from './errors.ts'

const RAW = 0x55

/** Numbers of UnixFS's `DataType` that Kubo shows. */
export const TYPE_NUMBER = { unknown: 0, directory: 1, file: 2, symlink: 4 } as const

export interface UnixfsEntry {
  readonly kind: 'file' | 'directory' | 'symlink'
  /** Bytes of a file's content or of a symlink's target; 0 of a directory. */
  readonly size: number
  /** Bytes of the DAG, as its root states them. */
  readonly cumulativeSize: number
  /** Of the root. */
  readonly links: number
  /** Where a symlink leads. */
  readonly target: string
}

/** @throws RpcError `RPC_REFUSED` when it is not UnixFS; IpfsNodeError `IPFS_BLOCK_CORRUPT` */
export function entryOf(cid: CID, data: Uint8Array): UnixfsEntry {
  const cumulativeSize = statedSize(cid, data) ?? data.length
  if (cid.code === RAW || (isLeafCodec(cid) && cid.code !== dagPb.code)) {
    return { kind: 'file', size: data.length, cumulativeSize: data.length, links: 0, target: '' }
  }
  if (cid.code !== dagPb.code) throw refused(`${cid} is not UnixFS: it has another codec than dag-pb and raw`)
  const { Data, Links } = decodePb(cid, data)
  const unixfs = unixfsOf(cid, Data)
  const links = Links.length
  switch (unixfs.type) {
    case 'directory':
    case 'hamt-sharded-directory':
      return { kind: 'directory', size: 0, cumulativeSize, links, target: '' }
    case 'symlink': {
      const target = new TextDecoder().decode(unixfs.data)
      return { kind: 'symlink', size: unixfs.data?.length ?? 0, cumulativeSize, links, target }
    }
    case 'file':
    case 'raw':
      return { kind: 'file', size: Number(unixfs.fileSize()), cumulativeSize, links, target: '' }
    default:
      throw refused(`${cid} is UnixFS of type ${unixfs.type}, which is neither file, directory nor symlink`)
  }
}

function unixfsOf(cid: CID, data: Uint8Array | undefined): UnixFS {
  try {
    if (data === undefined) throw new Error('no data field')
    return UnixFS.unmarshal(data)
  } catch (cause) {
    throw refused(`${cid} is not UnixFS`, cause)
  }
}
