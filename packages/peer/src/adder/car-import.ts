import type { NodeWithMeta } from '@ipfs-cluster/api'
import { errorMessage } from '@ipfs-cluster/base'
import { decode as decodeCbor } from '@ipld/dag-cbor'
import { decode as decodeDagPb } from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import type { CID } from 'multiformats/cid'
import { readCar, type CarBlock } from './car-reader.ts'
import { badCar } from './errors.ts'
import { DAG_CBOR, DAG_PB, RAW } from './hashing.ts'
import type { AddPart } from './types.ts'

export interface ImportedCar {
  readonly root: CID
  /** Of all blocks. */
  readonly bytes: bigint
  /** Of the file that the root is, when the root is in the CAR and is a UnixFS file; else 0. */
  readonly size: bigint
  /** Bytes of the DAG below the root, as the root states them; absent when it is not in the CAR, or does not say. */
  readonly dagSize?: bigint
}

/**
 * Puts the blocks of one CARv1, verified. Whether the DAG below the root is complete is not checked: it may come in several CARs.
 *
 * @throws AdderError `ADD_BAD_CAR`; texts as in Go.
 */
export async function importCar(
  part: AddPart,
  put: (block: NodeWithMeta) => Promise<void>,
): Promise<ImportedCar> {
  if (part.kind !== 'file') throw badCar('expected CAR file is not of type file')
  const { root, blocks } = await readCar(part.content)
  let bytes = 0n
  let size = 0n
  let dagSize: bigint | undefined
  for await (const block of blocks) {
    bytes += BigInt(block.data.length)
    const { linked, fileSize } = inspect(block)
    if (block.cid.equals(root)) {
      size = fileSize
      if (root.code === RAW || root.code === DAG_PB) dagSize = BigInt(block.data.length) + linked
    }
    await put({ ...block, cumulativeSize: BigInt(block.data.length) + linked })
  }
  if (bytes === 0n) throw badCar('the CAR has no blocks')
  return { root, bytes, size, ...(dagSize === undefined ? {} : { dagSize }) }
}

/** Decodes a block, as far as its codec is known here: a malformed one must not be pinned. */
function inspect({ cid, data }: CarBlock): { readonly linked: bigint; readonly fileSize: bigint } {
  try {
    switch (cid.code) {
      case RAW:
        return { linked: 0n, fileSize: BigInt(data.length) }
      case DAG_PB: {
        const node = decodeDagPb(data)
        const linked = node.Links.reduce((sum, link) => sum + BigInt(link.Tsize ?? 0), 0n)
        return { linked, fileSize: unixfsSize(node.Data) }
      }
      case DAG_CBOR:
        decodeCbor(data)
        return { linked: 0n, fileSize: 0n }
    }
  } catch (cause) {
    throw badCar(`the block ${cid} is malformed: ${errorMessage(cause)}`, cause)
  }
  throw badCar(
    `no decoder registered for multicodec code ${cid.code} (0x${cid.code.toString(16)}) of block ${cid}`,
  )
}

function unixfsSize(data: Uint8Array | undefined): bigint {
  if (data === undefined) return 0n
  try {
    return UnixFS.unmarshal(data).fileSize()
  } catch {
    // dag-pb that is not UnixFS is fine: it has no file size.
    return 0n
  }
}
