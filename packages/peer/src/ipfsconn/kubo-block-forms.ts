/**
 * How a request carries blocks to Kubo: `dag/import` as a CAR, which Kubo writes many blocks at a time, or `block/put` one by one, all of one codec
 * and one hash. Both are forms (`multipart/form-data`), as Kubo wants files.
 */
import type { NodeWithMeta } from '@ipfs-cluster/api'
import { concatBytes, lengthOf, piecesOf, utf8 } from '@ipfs-cluster/base'
import { carHeader, carSectionHead } from '@ipfs-cluster/ipfs/car'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'
import type { BlockPrefix } from './block-prefix.ts'
import { badAnswer } from './errors.ts'
import { field } from './kubo-answer.ts'

/** Blocks up to this many bytes are copied into one write, since small writes cost more than the copy. */
const SMALL_BLOCK_BYTES = 32 * 1024
const LINE_END = utf8('\r\n')

/** One request: what it sends before, for and after its blocks, and what it makes of the answer. */
export interface BlockForm {
  readonly path: string
  readonly opening: Uint8Array
  readonly closing: Uint8Array
  /** In as many writes as are worth it. */
  block(block: NodeWithMeta): readonly Uint8Array[]
  /** Takes an object of the answer. @throws IpfsError when it is none that could follow from what was sent. */
  answered(answer: unknown): void
  /** Call at the end of the answer. @throws IpfsError when not every block was confirmed. */
  ended(): void
}

const IDENTITY = 0x00
const RAW = 0x55

/** A CAR has to name a root; nobody looks for this one, which is its own (empty) block. */
const NO_ROOT = CID.createV1(RAW, create(IDENTITY, new Uint8Array(0)))

/** The daemon tells how many blocks it has stored, when it has stored them all. */
export function importForm(boundary: string): BlockForm {
  const path = 'dag/import?allow-big-block=true&fast-provide-root=false&pin-roots=false&stats=true'
  let sent = 0
  let stored: unknown
  return {
    path,
    opening: concatBytes([partHead(boundary, 'blocks.car'), carHeader(NO_ROOT)]),
    closing: utf8(`\r\n--${boundary}--\r\n`),
    block(block) {
      sent++
      return writesOf(block, [carSectionHead(block.cid, lengthOf(block)), ...piecesOf(block)])
    },
    answered(answer) {
      stored = field(field(answer, 'Stats'), 'BlockCount')
    },
    ended() {
      if (stored !== sent) throw badAnswer(path, `${String(stored)} of ${sent} blocks were confirmed`)
    },
  }
}

/** Of blocks that have `prefix` in common; the daemon tells of each when it is stored. */
export function putForm({ codec, hash, length }: BlockPrefix, boundary: string): BlockForm {
  const path = `block/put?allow-big-block=true&cid-codec=${codec}&mhlen=${length}&mhtype=${hash}&pin=false`
  const unconfirmed = createTally()
  return {
    path,
    opening: new Uint8Array(0),
    closing: utf8(`--${boundary}--\r\n`),
    block(block) {
      unconfirmed.add(block.cid)
      return writesOf(block, [partHead(boundary, `${block.cid}`), ...piecesOf(block), LINE_END])
    },
    answered(answer) {
      const cid = keyOf(path, answer)
      if (!unconfirmed.take(cid)) throw badAnswer(path, `stored ${cid}, which is none of the blocks sent`)
    },
    ended() {
      if (unconfirmed.size === 0) return
      throw badAnswer(path, `${unconfirmed.size} of the blocks sent were not confirmed`)
    },
  }
}

function partHead(boundary: string, name: string): Uint8Array {
  return utf8(
    `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\n` +
      'Content-Type: application/octet-stream\r\n\r\n',
  )
}

function writesOf(block: NodeWithMeta, writes: readonly Uint8Array[]): readonly Uint8Array[] {
  return lengthOf(block) <= SMALL_BLOCK_BYTES ? [concatBytes(writes)] : writes
}

function keyOf(path: string, answer: unknown): CID {
  const key = field(answer, 'Key')
  if (typeof key !== 'string') throw badAnswer(path, 'an answer without Key')
  try {
    return CID.parse(key)
  } catch (cause) {
    throw badAnswer(path, `not a CID: ${key}`, cause)
  }
}

/** How often each multihash is still outstanding: the codec of the answer may differ (CIDv0), the hash may not. */
function createTally() {
  const counts = new Map<string, number>()
  const keyOf = (cid: CID) => cid.multihash.bytes.toHex()
  return {
    get size() {
      return counts.size
    },
    add(cid: CID) {
      const key = keyOf(cid)
      counts.set(key, (counts.get(key) ?? 0) + 1)
    },
    take(cid: CID): boolean {
      const key = keyOf(cid)
      const count = counts.get(key)
      if (count === undefined) return false
      if (count === 1) counts.delete(key)
      else counts.set(key, count - 1)
      return true
    },
  }
}
