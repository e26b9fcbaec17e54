/** The same CIDs in every run. */
import { createHash } from 'node:crypto'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { create as createDigest } from 'multiformats/hashes/digest'

const SHA2_256 = 0x12

/** What a daemon of the bench may have had from before. */
export const HELD_SERIES = 'set'

/** Number `index` of a series. */
export function benchCid(series: string, index: number): CID {
  const digest = createHash('sha256').update(`${series} ${index}`).digest()
  return CID.createV1(raw.code, createDigest(SHA2_256, new Uint8Array(digest)))
}

/** Of each number in `[from, from + count)`. */
export function* benchCids(series: string, count: number, from = 0): Generator<CID> {
  for (let index = from; index < from + count; index++) yield benchCid(series, index)
}

/** Paths of requests for `count` CIDs. */
export function* pinPaths(series: string, count: number, from = 0): Generator<string> {
  for (const cid of benchCids(series, count, from)) yield `/pins/${cid}`
}

/** Whether `share` of all CIDs, this one among them, are those that nobody provides. */
export function isDead(cid: string, share: number): boolean {
  const tail = createHash('sha256').update(cid).digest().readUInt32BE()
  return tail / 2 ** 32 < share
}
