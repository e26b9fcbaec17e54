import { compareBytes, memoize } from '@ipfs-cluster/base'
import { base58btc } from 'multiformats/bases/base58'
import { decode as decodeDigest } from 'multiformats/hashes/digest'
import { ApiError } from './api-error.ts'
import { base58Text, latin1Bytes, latin1Text } from './base-text.ts'
import { parseCid } from './cid.ts'
import type { PeerId } from './types.ts'

/** Peer ids remembered in each direction. */
const REMEMBERED_PEERS = 4096
/** Codec of a peer id that is written as a CID. */
const LIBP2P_KEY = 0x72
const IDENTITY = 0x00
const SHA2_256 = 0x12
const SHA2_256_BYTES = 34
/** Longest peer id: keys of more than 42 bytes are hashed (libp2p specification, `peer-ids`), with room. Bytes. */
const MAX_PEER_ID_BYTES = 128
/** Longest text of one, in any base. Reading base58 takes the square of its length. */
const MAX_PEER_ID_TEXT = 256

/**
 * The multihash of a peer id; do not change the returned bytes.
 *
 * @param text base58btc of the multihash (`12D3Koo…`, `Qm…`) or a CIDv1 of codec libp2p-key.
 * @throws ApiError `API_BAD_PEER_ID`
 */
export const peerIdBytes: (text: string) => Uint8Array = memoize(REMEMBERED_PEERS, readPeerId)

/**
 * The usual text of a peer id.
 *
 * @param bytes the multihash.
 * @throws ApiError `API_BAD_PEER_ID` when they are not exactly one multihash, of a kind that peer ids have: the key itself or its
 * sha2-256. The text of any other could not be read again, as it does not begin like a peer id.
 */
export function peerIdText(bytes: Uint8Array): PeerId {
  if (bytes.length > MAX_PEER_ID_BYTES) {
    throw badPeerId(`of ${bytes.length} bytes`, new RangeError(`more than ${MAX_PEER_ID_BYTES} bytes`))
  }
  return textOfKey(latin1Text(bytes))
}

/** The usual text of a peer id given in any form. @throws ApiError `API_BAD_PEER_ID` */
export const parsePeerId: (text: string) => PeerId = memoize(REMEMBERED_PEERS, (text: string) =>
  peerIdText(peerIdBytes(text)),
)

/** Go's order of peers: by the bytes of the multihash, not by text. @throws ApiError `API_BAD_PEER_ID` */
export function comparePeerIds(a: PeerId, b: PeerId): number {
  return a === b ? 0 : compareBytes(peerIdBytes(a), peerIdBytes(b))
}

/** The key holds one byte a character: a string is what a Map can find again. */
const textOfKey = memoize(REMEMBERED_PEERS, (key: string) => {
  const bytes = latin1Bytes(key)
  const text = base58Text(bytes)
  try {
    checkPeerId(bytes)
  } catch (cause) {
    throw badPeerId(text, cause)
  }
  return text
})

function checkPeerId(bytes: Uint8Array): void {
  decodeDigest(bytes)
  const isHash = bytes[0] === SHA2_256 && bytes.length === SHA2_256_BYTES
  if (bytes[0] !== IDENTITY && !isHash) throw new RangeError('neither a public key nor its sha2-256')
}

function readPeerId(text: string): Uint8Array {
  try {
    if (text.length > MAX_PEER_ID_TEXT) throw new RangeError(`more than ${MAX_PEER_ID_TEXT} characters`)
    if (text.startsWith('1') || text.startsWith('Qm')) {
      const bytes = base58btc.baseDecode(text)
      checkPeerId(bytes)
      return bytes
    }
    const cid = parseCid(text)
    if (cid.code !== LIBP2P_KEY) throw new RangeError(`its codec is ${cid.code}, not libp2p-key`)
    checkPeerId(cid.multihash.bytes)
    return cid.multihash.bytes
  } catch (cause) {
    throw badPeerId(text, cause)
  }
}

function badPeerId(text: string, cause: unknown): ApiError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new ApiError(`failed to parse peer ID: ${why}`, { code: 'API_BAD_PEER_ID', text }, { cause })
}
