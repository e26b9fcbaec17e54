/** Formats of blocks and hash functions by their names, and what they hold (multicodec table; go-ipld-prime's data model). */
import * as dagCbor from '@ipld/dag-cbor'
import * as dagJson from '@ipld/dag-json'
import * as dagPb from '@ipld/dag-pb'
import { errorMessage } from '@ipfs-cluster/base'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { IDENTITY } from '../blocks/hash.ts'
import { hashFunctionOfCode, hashFunctionNamed } from '../hashes.ts'
import { refused } from './errors.ts'

const CODECS: Readonly<Record<string, number>> = {
  raw: 0x55,
  cbor: 0x51,
  json: 0x0200,
  'dag-pb': dagPb.code,
  'dag-cbor': dagCbor.code,
  'dag-json': dagJson.code,
  'libp2p-key': 0x72,
  'git-raw': 0x78,
}

/** Bytes of the longest digest of the function `identity`, which is the data itself (Go: `verifcid`). */
const MAX_IDENTITY_BYTES = 128

/** By name, or by number (`0x71`). @throws RpcError `RPC_REFUSED` */
export function codecOf(name: string): number {
  const known = Object.hasOwn(CODECS, name) ? CODECS[name] : undefined
  const code = known ?? (/^0x[\da-f]{1,6}$/i.test(name) ? Number(name) : undefined)
  if (code !== undefined) return code
  throw refused(`unknown multicodec: ${JSON.stringify(name.slice(0, 50))}`)
}

/** The code of a hash function by Go's name. @throws RpcError `RPC_REFUSED` */
export function hashOf(name: string): number {
  if (name === 'identity') return IDENTITY
  const known = hashFunctionNamed(name)
  if (known !== undefined) return known.code
  throw refused(`unrecognized multihash function: ${name.slice(0, 50)}`)
}

/** The CID of a block. @param length bytes of the digest; -1 = all. @throws RpcError `RPC_REFUSED` */
export function cidOf(data: Uint8Array, codec: number, hashCode: number, length = -1): CID {
  const known = hashFunctionOfCode(hashCode)
  if (known === undefined) {
    if (data.length > MAX_IDENTITY_BYTES) {
      throw refused(
        `the hash function identity takes ${MAX_IDENTITY_BYTES} bytes at most, not ${data.length}`,
      )
    }
    return CID.createV1(codec, createDigest(IDENTITY, Uint8Array.from(data)))
  }
  const full = Uint8Array.from(known.digest(data))
  if (length > full.length || length === 0 || length < -1) {
    throw refused(`mhlen=${length} is not possible: the digest has ${full.length} bytes`)
  }
  return CID.createV1(codec, createDigest(hashCode, length === -1 ? full : full.subarray(0, length)))
}

interface Format {
  readonly decode: (data: Uint8Array) => unknown
  readonly encode: (value: unknown) => Uint8Array
}

const FORMATS: ReadonlyMap<number, Format> = new Map<number, Format>([
  [CODECS['raw'] as number, { decode: data => data, encode: onlyBytes }],
  [dagCbor.code, { decode: data => dagCbor.decode(data), encode: value => dagCbor.encode(value) }],
  [
    CODECS['cbor'] as number,
    { decode: data => dagCbor.decode(data), encode: value => dagCbor.encode(value) },
  ],
  [dagJson.code, { decode: data => dagJson.decode(data), encode: value => dagJson.encode(value) }],
  [
    CODECS['json'] as number,
    { decode: data => dagJson.decode(data), encode: value => dagJson.encode(value) },
  ],
  [dagPb.code, { decode: data => dagPb.decode(data), encode: value => dagPb.encode(pbNode(value)) }],
])

/** @throws RpcError `RPC_REFUSED` when the format is unknown or the bytes are not of it */
export function decodeAs(codec: number, data: Uint8Array): unknown {
  const { decode } = formatOf(codec)
  try {
    return decode(data)
  } catch (cause) {
    throw refused(errorMessage(cause), cause)
  }
}

/** @throws RpcError `RPC_REFUSED` when the format is unknown or cannot hold the value */
export function encodeAs(codec: number, value: unknown): Uint8Array {
  const { encode } = formatOf(codec)
  try {
    return encode(value)
  } catch (cause) {
    throw refused(errorMessage(cause), cause)
  }
}

function formatOf(codec: number): Format {
  const format = FORMATS.get(codec)
  if (format !== undefined) return format
  throw refused(`no format is known for the multicodec 0x${codec.toString(16)}`)
}

function onlyBytes(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value
  throw new TypeError('only bytes can be raw')
}

/** From the data model: absent fields may be missing, and no others may be there. */
function pbNode(value: unknown): dagPb.PBNode {
  if (typeof value !== 'object' || value === null)
    throw new TypeError('a dag-pb node is a map with Links and Data')
  return value as dagPb.PBNode
}
