/** Content paths as Kubo's commands take them, and the way to their ends (Kubo: `cmdutils.PathOrCidPath`, `ResolvePath`). */
import * as dagCbor from '@ipld/dag-cbor'
import * as dagJson from '@ipld/dag-json'
import * as dagPb from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import { CID } from 'multiformats/cid'
import { checkedCid, parseCid } from '../cid-text.ts'
import { blockCorrupt, isFailure } from '../errors.ts'
import { resolvePath as walkUnixfs } from '../unixfs/explore.ts'
import type { ReadCall } from './command.ts'
import { refused } from './errors.ts'
import { MAX_PATH_NAMES } from './limits.ts'

const DAG_JSON = 0x0129
/** The part of a path shown in messages. */
const SHOWN_CHARS = 300

export interface ContentPath {
  readonly root: CID
  readonly names: readonly string[]
}

/**
 * Reads `/ipfs/CID/a/b`, `/ipld/CID/…`, `ipfs://CID/…`, `ipfs:CID` or `CID/a/b`; `.` and `..` are followed as in a file system.
 *
 * @throws RpcError `RPC_REFUSED`
 */
export function parsePath(text: string): ContentPath {
  const shown = JSON.stringify(text.slice(0, SHOWN_CHARS))
  const plain = text.replace(/^(ip[fn]s):(?:\/\/)?/i, (_, scheme: string) => `/${scheme.toLowerCase()}/`)
  const segments = cleaned(plain)
  const namespace = plain.startsWith('/') ? segments.shift() : 'ipfs'
  if (namespace === 'ipns') {
    throw refused(
      `cannot resolve ${shown}: the built-in IPFS node knows no IPNS names; resolve them elsewhere and use /ipfs`,
    )
  }
  if (namespace !== 'ipfs' && namespace !== 'ipld') throw refused(`invalid path ${shown}: unknown namespace`)
  const [root, ...names] = segments
  if (root === undefined) throw refused(`invalid path ${shown}: path does not have enough components`)
  if (names.length > MAX_PATH_NAMES) throw refused(`invalid path ${shown}: more than ${MAX_PATH_NAMES} names`)
  try {
    return { root: parseCid(root), names }
  } catch (cause) {
    const why = text.includes('/') ? 'invalid cid' : 'path does not have enough components'
    throw refused(`invalid path ${shown}: ${why}`, cause)
  }
}

function cleaned(path: string): string[] {
  const segments: string[] = []
  for (const segment of path.split('/')) {
    if (segment === '' || segment === '.') continue
    if (segment === '..') segments.pop()
    else segments.push(segment)
  }
  return segments
}

export interface Resolved {
  /** The block that the path ends in. */
  readonly cid: CID
  /** Names that lead on within that block. */
  readonly remainder: readonly string[]
}

/** Follows a path through directories, HAMTs and the links of dag-cbor and dag-json. @throws RpcError `RPC_REFUSED`; what reading throws */
export async function resolve(text: string, call: ReadCall): Promise<Resolved> {
  const { root, names } = parsePath(text)
  let cid = root
  let rest = names
  while (true) {
    const [name] = rest
    if (name === undefined) return { cid, remainder: [] }
    if (cid.code === dagPb.code) {
      cid = await namedChild(cid, name, call)
      rest = rest.slice(1)
      continue
    }
    const within = linkWithin(cid, await readValue(cid, call), rest)
    if (within === undefined) return { cid, remainder: rest }
    cid = within.cid
    rest = within.rest
  }
}

/** The CID that a path ends at. @throws RpcError `RPC_REFUSED` also when it ends within a block. */
export async function resolveToCid(text: string, call: ReadCall): Promise<CID> {
  const { cid, remainder } = await resolve(text, call)
  if (remainder.length > 0) throw noLink(remainder[0] as string, cid)
  return cid
}

async function namedChild(cid: CID, name: string, call: ReadCall): Promise<CID> {
  const data = await call.session.get(cid, { signal: call.signal })
  const node = decodePb(cid, data)
  if (isSharded(node)) {
    const signal = call.signal ?? new AbortController().signal
    const read = (each: CID, stop: AbortSignal) => call.session.get(each, { signal: stop })
    try {
      // A name of any other form than those that are looked for would be taken for several.
      return await walkUnixfs(`${cid}/${name}`, read, signal)
    } catch (error) {
      if (isFailure(error, 'IPFS_PATH_MISSING', 'IPFS_NOT_UNIXFS')) throw noLink(name, cid, error)
      throw error
    }
  }
  const link = node.Links.find(({ Name }) => Name === name)
  if (link === undefined) throw noLink(name, cid)
  return checkedLink(cid, link.Hash)
}

function isSharded({ Data }: dagPb.PBNode): boolean {
  if (Data === undefined) return false
  try {
    return UnixFS.unmarshal(Data).type === 'hamt-sharded-directory'
  } catch {
    // dag-pb that is not UnixFS has names, too.
    return false
  }
}

/** A value in JavaScript: of dag-json and dag-cbor what they hold; anything else has no names. */
async function readValue(cid: CID, { session, signal }: ReadCall): Promise<unknown> {
  if (cid.code !== dagCbor.code && cid.code !== DAG_JSON) return undefined
  const data = await session.get(cid, { signal })
  try {
    return cid.code === dagCbor.code ? dagCbor.decode(data) : dagJson.decode(data)
  } catch (cause) {
    throw blockCorrupt(cid, 'it has its hash but not its format', cause)
  }
}

/** The first link on the way, and the names behind it; `undefined` when the names end within the block. */
function linkWithin(
  cid: CID,
  root: unknown,
  names: readonly string[],
): { readonly cid: CID; readonly rest: readonly string[] } | undefined {
  let value: unknown = root
  for (const [i, name] of names.entries()) {
    value = fieldOf(value, name)
    if (value === undefined) throw noLink(name, cid)
    const link = CID.asCID(value)
    if (link !== null) return { cid: checkedLink(cid, link), rest: names.slice(i + 1) }
  }
  return undefined
}

/** @returns undefined when there is no such field */
export function fieldOf(value: unknown, name: string): unknown {
  if (Array.isArray(value))
    return /^(?:0|[1-9]\d{0,8})$/.test(name) ? (value[Number(name)] as unknown) : undefined
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return undefined
  return Object.hasOwn(value, name) ? (value as Readonly<Record<string, unknown>>)[name] : undefined
}

export function decodePb(cid: CID, data: Uint8Array): dagPb.PBNode {
  try {
    return dagPb.decode(data)
  } catch (cause) {
    throw blockCorrupt(cid, 'it has its hash but is not dag-pb', cause)
  }
}

function checkedLink(from: CID, link: CID): CID {
  try {
    return checkedCid(link)
  } catch (cause) {
    throw blockCorrupt(from, 'a link in it is no CID', cause)
  }
}

function noLink(name: string, cid: CID, cause?: unknown) {
  return refused(`no link named ${JSON.stringify(name.slice(0, SHOWN_CHARS))} under ${cid}`, cause)
}
