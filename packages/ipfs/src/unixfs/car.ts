import { concatBytes } from '@ipfs-cluster/base'
import * as dagCbor from '@ipld/dag-cbor'
import { varint } from 'multiformats'
import type { CID } from 'multiformats/cid'
import { FingerprintSet } from '../blocks/fingerprint-set.ts'
import { linksOf } from '../links.ts'
import type { Block } from '../types.ts'
import type { ReadBlock } from './read-file.ts'

/** Blocks read ahead of the consumer. */
const LOOK_AHEAD_BLOCKS = 16

/** The blocks of a DAG, each once, depth first in the order of links. What is in `seen` is left out, with what is below it. */
export async function* dagBlocks(
  root: CID,
  read: ReadBlock,
  seen = new FingerprintSet(),
): AsyncGenerator<Block> {
  const controller = new AbortController()
  const stack: { readonly cid: CID; loading?: Promise<Uint8Array> }[] = [{ cid: root }]
  try {
    while (true) {
      for (const next of stack.slice(-LOOK_AHEAD_BLOCKS)) {
        if (next.loading !== undefined || seen.has(next.cid.multihash.bytes)) continue
        next.loading = read(next.cid, controller.signal)
        // It may never be awaited, when the consumer leaves before.
        next.loading.catch(() => undefined)
      }
      const next = stack.pop()
      if (next === undefined) return
      const { cid, loading } = next
      if (loading === undefined || !seen.add(cid.multihash.bytes)) continue
      const data = await loading
      yield { cid, data }
      for (const link of linksOf(cid, data).toReversed()) stack.push({ cid: link })
    }
  } finally {
    controller.abort(new DOMException('the reader left', 'AbortError'))
  }
}

/** A CARv1 of `blocks` (https://ipld.io/specs/transport/car/carv1): each section is a varint of its length, then CID and bytes. */
export async function* writeCar(root: CID, blocks: AsyncIterable<Block>): AsyncGenerator<Uint8Array> {
  const header = dagCbor.encode({ version: 1, roots: [root] })
  yield concatBytes([lengthPrefix(header.length), header])
  for await (const { cid, data } of blocks) {
    yield concatBytes([lengthPrefix(cid.bytes.length + data.length), cid.bytes, data])
  }
}

function lengthPrefix(length: number): Uint8Array {
  return varint.encodeTo(length, new Uint8Array(varint.encodingLength(length)))
}
