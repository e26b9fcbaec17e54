/** The same CIDs in every run. */
import { hash } from 'node:crypto'
import { cidText } from '@ipfs-cluster/api'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { create as createDigest } from 'multiformats/hashes/digest'

const SHA2_256 = 0x12

/** What a daemon of the bench may have had from before. */
export const HELD_SERIES = 'set'

/** Number `index` of a series. Leaves nothing behind that would have to be finalized: a client that collects such garbage is late for its answers. */
export function benchCid(series: string, index: number): CID {
  const digest = Uint8Array.fromHex(hash('sha256', `${series} ${index}`))
  return CID.createV1(raw.code, createDigest(SHA2_256, digest))
}

/** The path of a request for it. */
export function pinPath(series: string, index: number): string {
  return `/pins/${cidText(benchCid(series, index))}`
}

/** Of each number in `[from, from + count)`. */
export function* benchCids(series: string, count: number, from = 0): Generator<CID> {
  for (let index = from; index < from + count; index++) yield benchCid(series, index)
}

/** Paths of requests for `count` CIDs. */
export function* pinPaths(series: string, count: number, from = 0): Generator<string> {
  for (let index = from; index < from + count; index++) yield pinPath(series, index)
}

/** Whether `share` of all CIDs, this one among them, are those that nobody provides. */
export function isDead(cid: string, share: number): boolean {
  const tail = Number.parseInt(hash('sha256', cid).slice(0, 8), 16)
  return tail / 2 ** 32 < share
}
