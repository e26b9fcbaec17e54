import { compareBytes } from '@ipfs-cluster/base'
import { base58btc } from 'multiformats/bases/base58'
import { decode as decodeDigest } from 'multiformats/hashes/digest'
import { ApiError } from './api-error.ts'
import { base58Text, latin1Bytes, latin1Text } from './base-text.ts'
import { parseCid } from './cid.ts'
import { memoize } from './memo.ts'
import type { PeerId } from './types.ts'

/** Peer ids remembered in each direction. */
const REMEMBERED_PEERS = 4096
/** Codec of a peer id that is written as a CID. */
const LIBP2P_KEY = 0x72

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
 * @throws ApiError `API_BAD_PEER_ID` when they are not exactly one multihash.
 */
export function peerIdText(bytes: Uint8Array): PeerId {
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
    decodeDigest(bytes)
  } catch (cause) {
    throw badPeerId(text, cause)
  }
  return text
})

function readPeerId(text: string): Uint8Array {
  try {
    if (text.startsWith('1') || text.startsWith('Qm')) {
      const bytes = base58btc.baseDecode(text)
      decodeDigest(bytes)
      return bytes
    }
    const cid = parseCid(text)
    if (cid.code !== LIBP2P_KEY) throw new RangeError(`its codec is ${cid.code}, not libp2p-key`)
    return cid.multihash.bytes
  } catch (cause) {
    throw badPeerId(text, cause)
  }
}

function badPeerId(text: string, cause: unknown): ApiError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new ApiError(`failed to parse peer ID: ${why}`, { code: 'API_BAD_PEER_ID', text }, { cause })
}
