/**
 * Which one peer acts for a CID when all could (re-pinning, expiry): the one whose hashed id is nearest to the hashed CID
 * (Go: `util.go` `distanceChecker`; XOR of blake2b-256).
 */
import { peerIdBytes, type PeerId } from '@ipfs-cluster/api'
import { compareBytes } from '@ipfs-cluster/base'
import { blake2b } from '@noble/hashes/blake2.js'
import type { CID } from 'multiformats/cid'

/** True for `self` unless one of `others` is strictly nearer. */
export function closestChecker(self: PeerId, others: readonly PeerId[]): (cid: CID) => boolean {
  const own = hash(peerIdBytes(self))
  const hashes = others.filter(peer => peer !== self).map(peer => hash(peerIdBytes(peer)))
  return cid => {
    const target = hash(cid.bytes)
    const distance = xor(own, target)
    return hashes.every(other => compareBytes(xor(other, target), distance) >= 0)
  }
}

function hash(bytes: Uint8Array): Uint8Array {
  return blake2b(bytes, { dkLen: 32 })
}

function xor(a: Uint8Array, b: Uint8Array): Uint8Array {
  return a.map((byte, index) => byte ^ (b[index] as number))
}
