/** The nodes that list the blocks of a shard, or the shards of a DAG (Go: `adder/sharding/dag.go`; reference wire.md 11). */
import type { NodeWithMeta } from '@ipfs-cluster/api'
import { encode } from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { DAG_CBOR, hasherNamed } from './hashing.ts'

/** Links of one node: with more, a root lists nodes that list them. */
export const MAX_LINKS = 5984
/** Links of the one node that lists the shards. It is pinned alone and read as a whole, so it is never divided; a block of more is hard to move. */
export const MAX_SHARDS = 48_000

const SHA2_256 = hasherNamed('sha2-256')

/** The nodes of a shard, its root first. */
export function shardNodes(links: readonly CID[]): readonly [NodeWithMeta, ...NodeWithMeta[]] {
  if (links.length <= MAX_LINKS) return [listNode(links)]
  const leaves: NodeWithMeta[] = []
  // As Go does it: where the last leaf is full, an empty one follows.
  for (let from = 0; from <= links.length; from += MAX_LINKS) {
    leaves.push(listNode(links.slice(from, from + MAX_LINKS)))
  }
  return [listNode(leaves.map(({ cid }) => cid)), ...leaves]
}

/** A map from "0", "1", … to the links, in canonical CBOR; CIDv1 with sha2-256. */
export function listNode(links: readonly CID[]): NodeWithMeta {
  const data = encode(Object.fromEntries(links.entries()))
  const cid = CID.createV1(DAG_CBOR, createDigest(SHA2_256.code, SHA2_256.digest(data)))
  return { cid, data, cumulativeSize: BigInt(data.length) }
}
