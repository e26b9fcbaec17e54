/** DAG nodes and the names by which the CRDT knows them (reference wire.md 3.2, 3.3). */
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { compareBytes, concatBytes, equalBytes, hasPrefix } from '@ipfs-cluster/base'
import * as dagPb from '@ipld/dag-pb'
import { base32upper } from 'multiformats/bases/base32'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { decodeDelta, encodeDelta, type Delta } from './delta.ts'
import { InvalidNodeError } from './errors.ts'
import { MAX_NODE_BYTES, MAX_NODE_LINKS } from './limits.ts'

const SHA2_256 = 0x12
const DIGEST_BYTES = 32
const MULTIHASH_PREFIX = Uint8Array.of(SHA2_256, DIGEST_BYTES)
/** Characters of a base32 multihash without padding. */
const ID_LENGTH = 55

/** A node's name as an in-memory key: hex of its sha2-256 digest, whatever the version of the CID that named it. */
export type NodeId = string

export interface NodeLink {
  readonly id: NodeId
  /** The sha2-256 digest: the node's name in rows. */
  readonly digest: Uint8Array
  /** Version 1, dag-pb. */
  readonly cid: CID
}

export interface CrdtNode extends NodeLink {
  readonly data: Uint8Array
  readonly links: readonly NodeLink[]
  readonly delta: Delta
}

/** Node's own hex, ten times faster than the portable one: every link of every node is turned into its id. */
export function idOf(digest: Uint8Array): NodeId {
  return Buffer.from(digest.buffer, digest.byteOffset, digest.length).toString('hex')
}

/** The node that `cid` names; `undefined` when it cannot name one (every node is dag-pb with sha2-256). */
export function linkOf(cid: CID): NodeLink | undefined {
  const { code, digest } = cid.multihash
  if (cid.code !== dagPb.code || code !== SHA2_256 || digest.length !== DIGEST_BYTES) return undefined
  return { id: idOf(digest), digest, cid: cid.version === 1 ? cid : cid.toV1() }
}

export function linkOfDigest(digest: Uint8Array): NodeLink {
  const multihash = Digest.create(SHA2_256, digest)
  return { id: idOf(digest), digest, cid: CID.createV1(dagPb.code, multihash) }
}

/** The digest by which a block is found, whatever the codec and version of `cid`. */
export function digestOf(cid: CID): Uint8Array | undefined {
  const { code, digest } = cid.multihash
  return code === SHA2_256 && digest.length === DIGEST_BYTES ? digest : undefined
}

/** A new node on top of `heads`, which are sorted here as Go sorts them: by CID bytes. */
export function createNode(delta: Delta, heads: readonly NodeLink[]): CrdtNode {
  const links = heads.toSorted((a, b) => compareBytes(a.cid.bytes, b.cid.bytes))
  const data = dagPb.encode({
    Links: links.map(link => ({ Hash: link.cid, Name: '', Tsize: 0 })),
    Data: encodeDelta(delta),
  })
  const digest = new Uint8Array(createHash('sha256').update(data).digest())
  return { ...linkOfDigest(digest), data, links, delta }
}

/**
 * Reads a node whose bytes are known to belong to `link`. A link that cannot name a node is left out: nobody could follow it.
 *
 * @throws InvalidNodeError when it cannot be read or is beyond a limit.
 */
export function decodeNode(link: NodeLink, data: Uint8Array): CrdtNode {
  if (data.length > MAX_NODE_BYTES) throw new InvalidNodeError(`node of ${data.length} bytes`, 'too_large')
  const { Data, Links } = decodePb(data)
  if (Data === undefined) throw new InvalidNodeError('node without a delta')
  if (Links.length > MAX_NODE_LINKS)
    throw new InvalidNodeError(`node with ${Links.length} links`, 'too_many_links')
  const links = Links.map(({ Hash }) => linkOf(Hash)).filter(known => known !== undefined)
  return { ...link, data, links, delta: decodeDelta(Data) }
}

function decodePb(data: Uint8Array): dagPb.PBNode {
  try {
    return dagPb.decode(data)
  } catch (cause) {
    throw new InvalidNodeError('node is not dag-pb', 'malformed', { cause })
  }
}

/** The text by which tombstones name the node that put a value. */
export function blockIdText(digest: Uint8Array): string {
  return `/${base32upper.encoder.baseEncode(concatBytes([MULTIHASH_PREFIX, digest]))}`
}

/** The digest in a tombstone's id; `undefined` when no node can have that id. Slashes around it do not count, as in Go. */
export function parseBlockId(text: string): Uint8Array | undefined {
  const name = withoutSlashes(text)
  if (name.length !== ID_LENGTH) return undefined
  try {
    const bytes = base32upper.decode(`${base32upper.prefix}${name}`)
    // Only the canonical spelling: other ids are other keys to Go.
    if (!hasPrefix(bytes, MULTIHASH_PREFIX) || base32upper.encoder.baseEncode(bytes) !== name)
      return undefined
    return bytes.subarray(MULTIHASH_PREFIX.length)
  } catch {
    // Not base32, thus no id of a node.
    return undefined
  }
}

/** By hand: a regular expression for the end takes time in the square of the length when the slashes are in the middle. */
function withoutSlashes(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && text[start] === '/') start++
  while (end > start && text[end - 1] === '/') end--
  return text.slice(start, end)
}

/** Whether `data` is what `link` names. */
export function matchesDigest(link: NodeLink, data: Uint8Array): boolean {
  return equalBytes(createHash('sha256').update(data).digest(), link.digest)
}
