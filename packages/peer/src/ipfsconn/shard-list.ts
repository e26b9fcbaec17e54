/** Shards of sharded content as IPFS has them: a list of the blocks of the shard, of one level or two (wire.md 11; Go: `adder/sharding/dag.go`). */
import { decode } from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'

/** Links of a list; of more there is a list of lists, and all of these but the last have so many. */
export const LIST_LINKS = 5984

export interface ShardBlocks {
  /** The lists themselves, the shard first. */
  readonly lists: readonly CID[]
  /** What they list. */
  readonly blocks: readonly CID[]
}

/** The links of a list: a map from "0", "1", … to links. `undefined` for what is something else. */
export function listedLinks(data: Uint8Array): readonly CID[] | undefined {
  let map: unknown
  try {
    map = decode(data)
  } catch {
    // Not even CBOR.
    return undefined
  }
  if (typeof map !== 'object' || map === null || Array.isArray(map)) return undefined
  const links: CID[] = []
  // Keys that are whole numbers are enumerated in their order.
  for (const [key, value] of Object.entries(map)) {
    const cid = CID.asCID(value)
    if (cid === null || key !== String(links.length)) return undefined
    links.push(cid)
  }
  return links
}

/**
 * What a shard is made of; `undefined` when the CID is not that of a list.
 *
 * Pins do not tell of the second level: those of Go peers always say depth 1, and so do ours, since Go peers accept no other.
 */
export async function readShard(
  shard: CID,
  read: (cid: CID) => Promise<Uint8Array>,
): Promise<ShardBlocks | undefined> {
  const links = listedLinks(await read(shard))
  if (links === undefined) return undefined
  const [first] = links
  const one = { lists: [shard], blocks: links }
  if (first === undefined || links.length < 2 || links.some(({ code }) => code !== shard.code)) return one
  const firstOfAll = listedLinks(await read(first))
  if (firstOfAll?.length !== LIST_LINKS) return one
  const blocks = [...firstOfAll]
  for (const list of links.slice(1)) blocks.push(...(listedLinks(await read(list)) ?? []))
  return { lists: [shard, ...links], blocks }
}
