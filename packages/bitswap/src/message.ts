/**
 * The bitswap message (specification 1.2.0, `message.proto`), all versions in one:
 *
 *     Message  { 1 wantlist; 2 blocks* (1.0: bare data); 3 payload* { 1 prefix, 2 data }; 4 presences* { 1 cid, 2 type }; 5 pendingBytes }
 *     Wantlist { 1 entries* { 1 cid, 2 priority, 3 cancel, 4 wantType, 5 sendDontHave }; 2 full }
 *
 * Encoded as Go does: fields in order, zero values left out, but the wantlist always there (`0a 00` when empty).
 */
import { concatBytes, EMPTY_BYTES } from '@ipfs-cluster/base'
import { cidLayout } from './cid-bytes.ts'
import { badMessage } from './errors.ts'
import { ProtoReader, ProtoWriter, bytesFieldSize, int32Size, varintSize } from './proto.ts'

/** Entries, blocks and presences of one message taken together: bounds what 4 MiB of tiny items can make us allocate. */
export const MAX_MESSAGE_ITEMS = 65_536

export interface WantlistEntry {
  /** Binary CID. */
  readonly cid: Uint8Array
  /** Int32; 0 in a cancel. */
  readonly priority: number
  readonly cancel: boolean
  /** want-have instead of want-block. */
  readonly wantHave: boolean
  readonly sendDontHave: boolean
}

export interface BlockPayload {
  readonly prefix: Uint8Array
  readonly data: Uint8Array
}

export interface BlockPresence {
  /** Binary CID. */
  readonly cid: Uint8Array
  /** HAVE, otherwise DONT_HAVE. */
  readonly have: boolean
}

export interface BitswapMessage {
  readonly wantlist: readonly WantlistEntry[]
  /** The wantlist replaces all earlier ones. */
  readonly full: boolean
  /** Blocks of 1.0, without a prefix. */
  readonly bareBlocks: readonly Uint8Array[]
  readonly payload: readonly BlockPayload[]
  readonly presences: readonly BlockPresence[]
  readonly pendingBytes: number
}

export const EMPTY_MESSAGE: BitswapMessage = {
  wantlist: [],
  full: false,
  bareBlocks: [],
  payload: [],
  presences: [],
  pendingBytes: 0,
}

/** The message without its length prefix. */
export function encodeMessage(message: Partial<BitswapMessage>): Uint8Array {
  return concatBytes(encode(message, { framed: false }))
}

/**
 * The message as it goes over a stream, with its length in front, in parts to be sent one after the other.
 * Large blocks are parts themselves, not copied: they must not be changed any more.
 */
export function encodeFrame(message: Partial<BitswapMessage>): readonly Uint8Array[] {
  return encode(message, { framed: true })
}

function encode(
  message: Partial<BitswapMessage>,
  { framed }: { readonly framed: boolean },
): readonly Uint8Array[] {
  const full = { ...EMPTY_MESSAGE, ...message }
  const wantlistBytes = wantlistSize(full)
  const size = messageSize(full, wantlistBytes)
  const large = [...full.bareBlocks, ...full.payload.map(({ data }) => data)]
  const writer = new ProtoWriter(framed ? varintSize(size) + size : size, large)
  if (framed) writer.varint(size)
  writeMessage(writer, full, wantlistBytes)
  return writer.finish()
}

function entrySize(entry: WantlistEntry): number {
  const flags = (entry.cancel ? 2 : 0) + (entry.wantHave ? 2 : 0) + (entry.sendDontHave ? 2 : 0)
  return bytesFieldSize(entry.cid.length) + (entry.priority === 0 ? 0 : 1 + int32Size(entry.priority)) + flags
}

function wantlistSize({ wantlist, full }: BitswapMessage): number {
  let size = full ? 2 : 0
  for (const entry of wantlist) size += bytesFieldSize(entrySize(entry))
  return size
}

/** proto3 leaves an empty bytes field out. */
function optionalSize(bytes: Uint8Array): number {
  return bytes.length === 0 ? 0 : bytesFieldSize(bytes.length)
}

function payloadSize({ prefix, data }: BlockPayload): number {
  return optionalSize(prefix) + optionalSize(data)
}

function presenceSize({ cid, have }: BlockPresence): number {
  return bytesFieldSize(cid.length) + (have ? 0 : 2)
}

function messageSize(message: BitswapMessage, wantlistBytes: number): number {
  let size = bytesFieldSize(wantlistBytes)
  for (const block of message.bareBlocks) size += bytesFieldSize(block.length)
  for (const block of message.payload) size += bytesFieldSize(payloadSize(block))
  for (const presence of message.presences) size += bytesFieldSize(presenceSize(presence))
  return message.pendingBytes === 0 ? size : size + 1 + int32Size(message.pendingBytes)
}

function writeMessage(writer: ProtoWriter, message: BitswapMessage, wantlistBytes: number): void {
  writer.header(1, wantlistBytes)
  for (const entry of message.wantlist) {
    writer.header(1, entrySize(entry))
    writer.bytesField(1, entry.cid)
    if (entry.priority !== 0) writer.int32Field(2, entry.priority)
    if (entry.cancel) writer.int32Field(3, 1)
    if (entry.wantHave) writer.int32Field(4, 1)
    if (entry.sendDontHave) writer.int32Field(5, 1)
  }
  if (message.full) writer.int32Field(2, 1)
  for (const block of message.bareBlocks) writer.bytesField(2, block)
  for (const block of message.payload) {
    writer.header(3, payloadSize(block))
    if (block.prefix.length > 0) writer.bytesField(1, block.prefix)
    if (block.data.length > 0) writer.bytesField(2, block.data)
  }
  for (const presence of message.presences) {
    writer.header(4, presenceSize(presence))
    writer.bytesField(1, presence.cid)
    if (!presence.have) writer.int32Field(2, 1)
  }
  if (message.pendingBytes !== 0) writer.int32Field(5, message.pendingBytes)
}

/**
 * Reads a message; unknown fields are skipped. Byte fields are views of `bytes`.
 *
 * @throws BitswapError `BITSWAP_BAD_MESSAGE`: not protobuf, an entry without a valid CID, or more than `MAX_MESSAGE_ITEMS`.
 */
export function decodeMessage(bytes: Uint8Array): BitswapMessage {
  // A single byte on the wire: whoever sends millions of them must not make us build as many.
  if (bytes.length === 0) return EMPTY_MESSAGE
  const reader = new ProtoReader(bytes, 0, bytes.length)
  // Empty lists that take no room until something comes, unlike those of `new Array`.
  const message: DecodedMessage = {
    wantlist: [],
    full: false,
    bareBlocks: [],
    payload: [],
    presences: [],
    pendingBytes: 0,
  }
  let items = 0
  const count = () => {
    if (++items > MAX_MESSAGE_ITEMS) throw badMessage('too many items')
  }
  while (reader.next()) {
    if (reader.isBytes(1)) readWantlist(reader.nested(), message, count)
    else if (reader.isBytes(2)) {
      count()
      message.bareBlocks.push(reader.bytesValue())
    } else if (reader.isBytes(3)) {
      count()
      message.payload.push(readPayload(reader.nested()))
    } else if (reader.isBytes(4)) {
      count()
      message.presences.push(readPresence(reader.nested()))
    } else if (reader.isVarint(5)) message.pendingBytes = reader.int32Value()
    else reader.skip()
  }
  return message
}

interface DecodedMessage extends BitswapMessage {
  readonly wantlist: WantlistEntry[]
  full: boolean
  readonly bareBlocks: Uint8Array[]
  readonly payload: BlockPayload[]
  readonly presences: BlockPresence[]
  pendingBytes: number
}

function readWantlist(
  reader: ProtoReader,
  message: Pick<DecodedMessage, 'wantlist' | 'full'>,
  count: () => void,
): void {
  while (reader.next()) {
    if (reader.isBytes(1)) {
      count()
      message.wantlist.push(readEntry(reader.nested()))
    } else if (reader.isVarint(2)) message.full = reader.int32Value() !== 0
    else reader.skip()
  }
}

function readEntry(reader: ProtoReader): WantlistEntry {
  let cid = EMPTY_BYTES
  let priority = 0
  let cancel = false
  let wantHave = false
  let sendDontHave = false
  while (reader.next()) {
    if (reader.isBytes(1)) cid = reader.bytesValue()
    else if (reader.isVarint(2)) priority = reader.int32Value()
    else if (reader.isVarint(3)) cancel = reader.int32Value() !== 0
    else if (reader.isVarint(4)) wantHave = reader.int32Value() === 1
    else if (reader.isVarint(5)) sendDontHave = reader.int32Value() !== 0
    else reader.skip()
  }
  return { cid: checkedCid(cid), priority, cancel, wantHave, sendDontHave }
}

function readPayload(reader: ProtoReader): BlockPayload {
  let prefix = EMPTY_BYTES
  let data = EMPTY_BYTES
  while (reader.next()) {
    if (reader.isBytes(1)) prefix = reader.bytesValue()
    else if (reader.isBytes(2)) data = reader.bytesValue()
    else reader.skip()
  }
  return { prefix, data }
}

function readPresence(reader: ProtoReader): BlockPresence {
  let cid = EMPTY_BYTES
  let have = true
  while (reader.next()) {
    if (reader.isBytes(1)) cid = reader.bytesValue()
    else if (reader.isVarint(2)) have = reader.int32Value() === 0
    else reader.skip()
  }
  return { cid: checkedCid(cid), have }
}

function checkedCid(cid: Uint8Array): Uint8Array {
  if (cidLayout(cid) === undefined) throw badMessage('an item without a valid CID')
  return cid
}
