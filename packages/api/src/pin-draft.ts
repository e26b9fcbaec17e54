/** Where things lie in the bytes of a stored pin that is about to become a line (`pin-lines.ts`). */
import { utf8 } from '@ipfs-cluster/base'
import { parseCid } from './cid.ts'
import { decodePin } from './pin-protobuf.ts'
import { OPTION_TAG, type PinBytes } from './pin-scan.ts'
import type { Pin } from './types.ts'

/** What the fields from the type to the depth are in JSON, from behind the CID up to the timestamp. They are the same for millions of pins. */
export interface Place {
  readonly stored: Uint8Array
  readonly direct: boolean
  readonly text: Uint8Array
}

/** Numbers, of which 0 is the default, and where things lie in the bytes of the pin that is being written. */
export interface Draft {
  factorMin: number
  factorMax: number
  nameStart: number
  nameEnd: number
  shardSize: number
  expireAt: number
  /** Where the metadata begins and ends; equal when there is none. */
  metadataStart: number
  metadataEnd: number
  size: number
  maxPinSize: number
  timestamp: number
}

export function newDraft(): Draft {
  return {
    factorMin: 0,
    factorMax: 0,
    nameStart: 0,
    nameEnd: 0,
    shardSize: 0,
    expireAt: 0,
    metadataStart: 0,
    metadataEnd: 0,
    size: -1,
    maxPinSize: -1,
    timestamp: 0,
  }
}

export function clearOptions(draft: Draft): void {
  draft.factorMin = 0
  draft.factorMax = 0
  draft.nameStart = 0
  draft.nameEnd = 0
  draft.shardSize = 0
  draft.expireAt = 0
  draft.metadataStart = 0
  draft.metadataEnd = 0
  draft.size = -1
  draft.maxPinSize = -1
}

export function readOptions(at: PinBytes, draft: Draft): boolean {
  let last = 0
  while (true) {
    const start = at.at
    const tag = at.tag()
    if (tag === 0) return at.at >= 0
    if (tag < last || (tag === last && tag !== OPTION_TAG.sortedMetadata)) return false
    if (tag === OPTION_TAG.replicationFactorMin) draft.factorMin = unzigzag(at.number())
    else if (tag === OPTION_TAG.replicationFactorMax) draft.factorMax = unzigzag(at.number())
    else if (tag === OPTION_TAG.name) {
      draft.nameStart = at.run()
      draft.nameEnd = at.at
    } else if (tag === OPTION_TAG.shardSize) draft.shardSize = at.number()
    else if (tag === OPTION_TAG.expireAt) draft.expireAt = at.number()
    else if (tag === OPTION_TAG.sortedMetadata) {
      if (last !== tag) draft.metadataStart = start
      at.run()
      draft.metadataEnd = at.at
    } else if (tag === OPTION_TAG.size) draft.size = at.number()
    else if (tag === OPTION_TAG.maxPinSize) draft.maxPinSize = at.number()
    else return false
    last = tag
  }
}

/** Of a sint32 that is small; others become numbers that are no factor. */
function unzigzag(value: number): number {
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2
}

/** @returns `undefined` when a pin cannot have these fields. */
export function placeText(stored: Uint8Array): Omit<Place, 'stored'> | undefined {
  let pin: Pin
  try {
    pin = decodePin(stored, ANY_CID)
  } catch {
    // The long way says what is wrong.
    return undefined
  }
  const peers = pin.allocations.length === 0 ? '[]' : `["${pin.allocations.join('","')}"]`
  return {
    direct: pin.mode === 'direct',
    text: utf8(
      `","type":"${pin.type}","allocations":${peers},"max_depth":${pin.maxDepth},"reference":null,"timestamp":"`,
    ),
  }
}

/** Stands where a CID must be given and is not looked at. */
const ANY_CID = parseCid('bafkqaaa')

export function isRun(whole: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (whole.length !== end - start) return false
  for (let i = 0; i < whole.length; i++) if (whole[i] !== bytes[start + i]) return false
  return true
}

export function compareRuns(
  bytes: Uint8Array,
  aStart: number,
  aEnd: number,
  bStart: number,
  bEnd: number,
): number {
  const length = Math.min(aEnd - aStart, bEnd - bStart)
  for (let i = 0; i < length; i++) {
    const difference = (bytes[aStart + i] as number) - (bytes[bStart + i] as number)
    if (difference !== 0) return difference
  }
  return aEnd - aStart - (bEnd - bStart)
}
