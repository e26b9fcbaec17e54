/** Bitswap: frames, messages, and the binary CIDs in them. */
import { concatBytes, equalBytes } from '@ipfs-cluster/base'
import { BitswapError } from '@ipfs-cluster/bitswap'
import { CID } from 'multiformats/cid'
import { cidLayout, keyOfCidBytes, prefixOfCidBytes } from '../../../packages/bitswap/src/cid-bytes.ts'
import { FrameReader } from '../../../packages/bitswap/src/frames.ts'
import {
  type BitswapMessage,
  decodeMessage,
  encodeFrame,
  encodeMessage,
  MAX_MESSAGE_ITEMS,
} from '../../../packages/bitswap/src/message.ts'
import { createVerifier } from '../../../packages/bitswap/src/verify.ts'
import { CIDS, fixture, recorded } from '../corpus.ts'
import { check, checkStable, neverRefuses, pieces, refusedBy, type Target } from '../target.ts'

const MIB = 1024 * 1024
const MAX_MESSAGE_BYTES = 4 * MIB

const everything: Partial<BitswapMessage> = {
  wantlist: CIDS.map((cid, i) => ({
    cid: cid.bytes,
    priority: i - 2,
    cancel: i % 2 === 0,
    wantHave: i % 3 === 0,
    sendDontHave: true,
  })),
  full: true,
  bareBlocks: [new Uint8Array(9)],
  payload: [{ prefix: Uint8Array.of(1, 0x55, 0x12, 32), data: new Uint8Array(70) }],
  presences: CIDS.map((cid, i) => ({ cid: cid.bytes, have: i % 2 === 0 })),
  pendingBytes: 12345,
}
const MESSAGES = [
  ...recorded(fixture('bitswap/src/fixtures/bitswap-crdt-fetch.json'), 'message_hex'),
  encodeMessage(everything),
  encodeMessage({}),
]
const refusal = refusedBy(BitswapError)
const verifier = createVerifier([])

function use(message: BitswapMessage): void {
  const { wantlist, bareBlocks, payload, presences } = message
  const items = wantlist.length + bareBlocks.length + payload.length + presences.length
  check(items <= MAX_MESSAGE_ITEMS, 'a message has a limited number of items')
  for (const list of [wantlist, presences])
    for (const { cid } of list) check(keyOfCidBytes(cid) !== undefined, 'an item has a CID')
  for (const { prefix, data } of payload) void verifier.keyOf(prefix, data)
}

const message: Target = {
  name: 'bitswap message',
  format: 'protobuf',
  corpus: () => MESSAGES,
  refusal,
  maxBytes: MAX_MESSAGE_BYTES,
  run(input) {
    const value = decodeMessage(input)
    use(value)
    checkStable(value, encodeMessage, decodeMessage)
    return true
  },
}

const frames: Target = {
  name: 'bitswap frames',
  format: 'bytes',
  corpus: () =>
    MESSAGES.map((_, i) =>
      concatBytes(MESSAGES.slice(i, i + 3).flatMap(bytes => encodeFrame(decodeMessage(bytes)))),
    ),
  refusal,
  maxBytes: MAX_MESSAGE_BYTES,
  // A frame may be one byte, which is read twice, and a piece to read it from as well.
  allocation: { perByte: 640, constant: MIB },
  run(input, random) {
    const whole: Uint8Array[] = []
    const parts: Uint8Array[] = []
    let oneRefused = false
    try {
      new FrameReader(MAX_MESSAGE_BYTES, each => whole.push(each)).push(input)
    } catch (error) {
      if (refusal(error) === undefined) throw error
      oneRefused = true
    }
    const reader = new FrameReader(MAX_MESSAGE_BYTES, each => parts.push(each))
    try {
      for (const piece of pieces(input, random)) {
        reader.push(piece)
        check(reader.pendingBytes <= input.length, 'no more is kept than has arrived')
      }
    } finally {
      check(parts.length === whole.length, 'as many frames however they arrive')
      for (const [i, part] of parts.entries())
        check(equalBytes(part, whole[i] as Uint8Array), 'the same frames')
    }
    check(!oneRefused, 'refused however it arrives')
    for (const each of parts) use(decodeMessage(each))
    return true
  },
}

const cidBytes: Target = {
  name: 'bitswap cid bytes',
  format: 'bytes',
  corpus: () => CIDS.map(cid => cid.bytes),
  refusal: neverRefuses,
  run(input) {
    const layout = cidLayout(input)
    if (layout === undefined) {
      check(keyOfCidBytes(input) === undefined, 'what is no CID has no key')
      return false
    }
    check(layout.digestOffset <= input.length, 'a digest lies inside its CID')
    const prefix = prefixOfCidBytes(input)
    void verifier.keyOf(prefix, input)
    const cid = CID.decode(input)
    check(cid.multihash.code === layout.hashCode, 'the library reads the same hash function')
    return true
  },
}

export const bitswapTargets: readonly Target[] = [message, frames, cidBytes]
