/**
 * The pin as it lies in the pinset (Go: `api/pb/types.proto`): the value of a CRDT element and of the Raft state. The bytes are Go's
 * to the last one, because between equal priorities the greater bytes win.
 */
import { EMPTY_BYTES } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { ApiError } from './api-error.ts'
import { cidOfBytes } from './cid.ts'
import { multiaddrBytes, multiaddrText } from './multiaddr.ts'
import { peerIdBytes, peerIdText } from './peer-id.ts'
import { ProtoReader } from './proto-reader.ts'
import { ProtoWriter } from './proto-writer.ts'
import type { PinType } from './status.ts'
import type { Pin, Time } from './types.ts'
import { sortedKeys } from './utf8-order.ts'

/** Index = enum number. */
const PIN_TYPES: readonly PinType[] = ['bad-type', 'pin', 'meta-pin', 'clusterdag-pin', 'shard-pin']

const PIN = { cid: 1, type: 2, allocations: 3, maxDepth: 4, reference: 5, options: 6, timestamp: 7 } as const
const OPTIONS = {
  replicationFactorMin: 1,
  replicationFactorMax: 2,
  name: 3,
  shardSize: 4,
  metadata: 6,
  pinUpdate: 7,
  expireAt: 8,
  origins: 9,
  sortedMetadata: 10,
  // Ours alone, far above what Go may use one day: Go reads past them, and drops them when it writes the pin itself.
  size: 1001,
  maxPinSize: 1002,
} as const
const KEY = 1
const VALUE = 2

const NS_PER_S = 1_000_000_000n

/** Shared: encoding is synchronous, and a buffer for each of millions of pins would cost more than the encoding. */
const writer = new ProtoWriter()

/**
 * Mode (it follows from the depth), user allocations and fractions of seconds are not kept.
 *
 * @throws ApiError `API_BAD_PEER_ID`, `API_BAD_MULTIADDR` when an allocation or origin is not one.
 */
export function encodePin(pin: Pin): Uint8Array {
  writeHead(pin)
  writeTail(pin)
  return writer.finish()
}

/**
 * `encodePin` of each. What follows the CID and the allocations is written once for neighbours that have it in common, as pins do that come
 * together.
 */
export function encodePins(pins: readonly Pin[]): Uint8Array[] {
  let last: Pin | undefined
  let tail = EMPTY_BYTES
  return pins.map(pin => {
    if (last === undefined || !hasSameTail(pin, last)) {
      writer.reset()
      writeTail(pin)
      tail = writer.finish()
      last = pin
    }
    writeHead(pin)
    writer.raw(tail)
    return writer.finish()
  })
}

function hasSameTail(a: Pin, b: Pin): boolean {
  return (
    a.maxDepth === b.maxDepth &&
    a.reference === b.reference &&
    a.timestamp === b.timestamp &&
    a.replicationFactorMin === b.replicationFactorMin &&
    a.replicationFactorMax === b.replicationFactorMax &&
    a.name === b.name &&
    a.shardSize === b.shardSize &&
    a.pinUpdate === b.pinUpdate &&
    a.expireAt === b.expireAt &&
    a.origins === b.origins &&
    a.metadata === b.metadata &&
    a.size === b.size &&
    a.maxPinSize === b.maxPinSize
  )
}

function writeHead(pin: Pin): void {
  writer.reset()
  writer.bytesField(PIN.cid, pin.cid.bytes)
  const type = PIN_TYPES.indexOf(pin.type)
  if (type > 0) writer.varintField(PIN.type, type)
  for (const peer of pin.allocations) writer.bytesField(PIN.allocations, peerIdBytes(peer))
}

function writeTail(pin: Pin): void {
  if (pin.maxDepth !== 0) writer.sint32Field(PIN.maxDepth, pin.maxDepth)
  if (pin.reference !== null) writer.bytesField(PIN.reference, pin.reference.bytes)
  writer.messageField(PIN.options, () => writeOptions(pin))
  writeTime(PIN.timestamp, pin.timestamp)
}

function writeOptions(pin: Pin): void {
  if (pin.replicationFactorMin !== 0)
    writer.sint32Field(OPTIONS.replicationFactorMin, pin.replicationFactorMin)
  if (pin.replicationFactorMax !== 0)
    writer.sint32Field(OPTIONS.replicationFactorMax, pin.replicationFactorMax)
  if (pin.name !== '') writer.stringField(OPTIONS.name, pin.name)
  if (pin.shardSize !== 0n) writer.uint64Field(OPTIONS.shardSize, pin.shardSize)
  if (pin.pinUpdate !== null) writer.bytesField(OPTIONS.pinUpdate, pin.pinUpdate.bytes)
  writeTime(OPTIONS.expireAt, pin.expireAt)
  for (const origin of pin.origins) writer.bytesField(OPTIONS.origins, multiaddrBytes(origin))
  for (const key of sortedKeys(pin.metadata)) {
    const value = pin.metadata[key] ?? ''
    writer.messageField(OPTIONS.sortedMetadata, () => {
      if (key !== '') writer.stringField(KEY, key)
      if (value !== '') writer.stringField(VALUE, value)
    })
  }
  if (pin.size !== undefined) writer.uint64Field(OPTIONS.size, pin.size)
  if (pin.maxPinSize !== undefined) writer.uint64Field(OPTIONS.maxPinSize, pin.maxPinSize)
}

/** Whole seconds, rounded down; the zero time and the epoch itself are left out. */
function writeTime(field: number, time: Time): void {
  if (time === null || time === 0n) return
  const seconds = time / NS_PER_S
  const floor = time < 0n && seconds * NS_PER_S !== time ? seconds - 1n : seconds
  if (floor >= 0n && floor <= Number.MAX_SAFE_INTEGER) {
    if (floor > 0n) writer.varintField(field, Number(floor))
  } else {
    writer.uint64Field(field, floor)
  }
}

type Writable<T> = { -readonly [K in keyof T]: T[K] }
type PinParts = Writable<Omit<Pin, 'cid' | 'allocations' | 'origins' | 'metadata' | 'userAllocations'>>

/** What is being read: repeated fields as growing lists, and the metadata of both fields apart. */
interface Draft {
  cidBytes: Uint8Array | null
  readonly parts: PinParts
  readonly allocations: string[]
  readonly origins: string[]
  readonly oldMetadata: (readonly [string, string])[]
  readonly sortedMetadata: (readonly [string, string])[]
}

/**
 * Lenient where Go is: an unreadable reference or update CID is none, unknown fields are passed over, the older metadata map is read
 * too.
 *
 * @param cid the CID from the key of the pinset; when given, the one inside the bytes is not looked at, as in Go.
 * @throws ApiError `API_BAD_PIN`
 */
export function decodePin(bytes: Uint8Array, cid?: CID): Pin {
  try {
    const draft = readPin(bytes)
    const { parts, allocations, origins } = draft
    const metadata =
      draft.oldMetadata.length + draft.sortedMetadata.length === 0
        ? {}
        : Object.fromEntries([...draft.oldMetadata, ...draft.sortedMetadata])
    return {
      ...parts,
      mode: parts.maxDepth === 0 ? 'direct' : 'recursive',
      userAllocations: [],
      metadata,
      origins,
      allocations,
      cid: cid ?? cidOfBytes(draft.cidBytes ?? new Uint8Array(0)),
    }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new ApiError(`the stored pin cannot be read: ${why}`, { code: 'API_BAD_PIN' }, { cause })
  }
}

function readPin(bytes: Uint8Array): Draft {
  const draft: Draft = {
    cidBytes: null,
    parts: {
      replicationFactorMin: 0,
      replicationFactorMax: 0,
      name: '',
      mode: 'recursive',
      shardSize: 0n,
      expireAt: null,
      pinUpdate: null,
      type: 'bad-type',
      maxDepth: 0,
      reference: null,
      timestamp: null,
    },
    allocations: [],
    origins: [],
    oldMetadata: [],
    sortedMetadata: [],
  }
  const reader = new ProtoReader(bytes)
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === PIN.cid) draft.cidBytes = reader.bytes()
    else if (field === PIN.type) draft.parts.type = PIN_TYPES[reader.enum()] ?? 'bad-type'
    else if (field === PIN.allocations) draft.allocations.push(peerIdText(reader.bytes()))
    else if (field === PIN.maxDepth) draft.parts.maxDepth = reader.sint32()
    else if (field === PIN.reference) draft.parts.reference = cidOrNone(reader.bytes())
    else if (field === PIN.options) readOptions(reader.message(), draft)
    else if (field === PIN.timestamp) draft.parts.timestamp = timeOfSeconds(reader.uint64())
    else reader.skip()
  }
  return draft
}

function readOptions(reader: ProtoReader, draft: Draft): void {
  const { parts } = draft
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === OPTIONS.replicationFactorMin) parts.replicationFactorMin = reader.sint32()
    else if (field === OPTIONS.replicationFactorMax) parts.replicationFactorMax = reader.sint32()
    else if (field === OPTIONS.name) parts.name = reader.string()
    else if (field === OPTIONS.shardSize) parts.shardSize = reader.uint64()
    else if (field === OPTIONS.metadata) draft.oldMetadata.push(readEntry(reader.message()))
    else if (field === OPTIONS.pinUpdate) parts.pinUpdate = cidOrNone(reader.bytes())
    else if (field === OPTIONS.expireAt) parts.expireAt = timeOfSeconds(reader.uint64())
    else if (field === OPTIONS.origins) draft.origins.push(multiaddrText(reader.bytes()))
    else if (field === OPTIONS.sortedMetadata) draft.sortedMetadata.push(readEntry(reader.message()))
    else if (field === OPTIONS.size) parts.size = reader.uint64()
    else if (field === OPTIONS.maxPinSize) parts.maxPinSize = reader.uint64()
    else reader.skip()
  }
}

function readEntry(reader: ProtoReader): readonly [string, string] {
  let key = ''
  let value = ''
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === KEY) key = reader.string()
    else if (field === VALUE) value = reader.string()
    else reader.skip()
  }
  return [key, value]
}

/** Go reads the unsigned seconds as signed; 0 is the zero time. */
function timeOfSeconds(seconds: bigint): Time {
  return seconds === 0n ? null : BigInt.asIntN(64, seconds) * NS_PER_S
}

function cidOrNone(bytes: Uint8Array): CID | null {
  try {
    return cidOfBytes(bytes)
  } catch {
    // Go reads an unreadable optional CID as none.
    return null
  }
}
