import { concatBytes, fromHex, toHex } from '@ipfs-cluster/base'
import fc from 'fast-check'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { CID } from 'multiformats/cid'
import { keyOfCid, keyOfCidBytes, prefixOfCidBytes } from './cid-bytes.ts'
import { BitswapError } from './errors.ts'
import { FrameReader } from './frames.ts'
import {
  decodeMessage,
  encodeFrame,
  encodeMessage,
  MAX_MESSAGE_ITEMS,
  type BitswapMessage,
} from './message.ts'
import { createVerifier } from './verify.ts'

interface Recording {
  readonly messages: readonly { readonly direction: 'in' | 'out'; readonly message_hex: string }[]
}

const recording = JSON.parse(
  readFileSync(new URL('fixtures/bitswap-crdt-fetch.json', import.meta.url), 'utf8'),
) as Recording
const recorded = (direction: string) =>
  recording.messages.filter(message => message.direction === direction).map(message => message.message_hex)

/** Recorded wants of the earlier client and the Go peer's answers to them. */
const wants = recorded('out')
const answers = recorded('in')

test('messages of a Go peer are encoded as Go did, with the empty wantlist', () => {
  assert.equal(answers.length, 20)
  for (const hex of answers) {
    const message = decodeMessage(fromHex(hex))
    assert.equal(message.payload.length, 1)
    assert.equal(toHex(encodeMessage(message)), hex)
    assert.equal(hex.slice(0, 4), '0a00')
  }
})

test('recorded wants are encoded to the bytes that a Go peer took', () => {
  assert.equal(wants.length, 20)
  for (const hex of wants) {
    const message = decodeMessage(fromHex(hex))
    const [entry] = message.wantlist
    assert.ok(entry)
    assert.deepEqual(
      { ...entry, cid: CID.decode(entry.cid).version },
      { cid: 1, priority: 1, cancel: false, wantHave: false, sendDontHave: true },
    )
    assert.equal(toHex(encodeMessage({ wantlist: [entry] })), hex)
  }
})

test('a recorded block hashes to the key of its want', () => {
  const verifier = createVerifier([])
  for (const [i, hex] of answers.entries()) {
    const [block] = decodeMessage(fromHex(hex)).payload
    const [want] = decodeMessage(fromHex(wants[i] ?? '')).wantlist
    assert.ok(block && want)
    assert.equal(verifier.keyOf(block.prefix, block.data), keyOfCidBytes(want.cid))
    assert.equal(toHex(prefixOfCidBytes(want.cid)), toHex(block.prefix))
  }
})

test('an empty message is an empty wantlist', () => {
  assert.equal(toHex(encodeMessage({})), '0a00')
  assert.equal(toHex(concatBytes(encodeFrame({}))), '020a00')
})

test('large blocks are handed on, not copied, between the bytes around them', () => {
  const prefix = fromHex('01551220')
  const blocks = [100, 40_000, 0, 70_000, 5].map((size, i) => new Uint8Array(size).fill(i + 1))
  const message = { payload: blocks.map(data => ({ prefix, data })), bareBlocks: [new Uint8Array(50_000)] }
  const parts = encodeFrame(message)
  assert.ok(parts.includes(blocks[1] as Uint8Array) && parts.includes(blocks[3] as Uint8Array))
  assert.equal(parts.length, 7)
  const whole = encodeMessage(message)
  assert.deepEqual(concatBytes(parts).subarray(3), whole)
  assert.deepEqual(decodeMessage(whole).payload, message.payload)
  assert.deepEqual(decodeMessage(whole).bareBlocks, message.bareBlocks)
})

test('HAVE is left out as the zero value, DONT_HAVE and cancel are not', () => {
  const cid = fromHex('01550000')
  assert.equal(toHex(encodeMessage({ presences: [{ cid, have: true }] })), '0a0022060a0401550000')
  assert.equal(toHex(encodeMessage({ presences: [{ cid, have: false }] })), '0a0022080a04015500001001')
  const cancel = { cid, priority: 0, cancel: true, wantHave: false, sendDontHave: false }
  assert.equal(toHex(encodeMessage({ wantlist: [cancel] })), '0a0a0a080a04015500001801')
})

/** Without it some records have no prototype, which deepEqual minds. */
const plainRecord = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record<T>(model, { noNullPrototype: true })

const digest = fc.uint8Array({ minLength: 32, maxLength: 32 })
const cidBytes = fc.oneof(
  digest.map(bytes => Uint8Array.of(0x12, 0x20, ...bytes)),
  digest.map(bytes => Uint8Array.of(0x01, 0x71, 0x12, 0x20, ...bytes)),
  fc.uint8Array({ maxLength: 40 }).map(bytes => Uint8Array.of(0x01, 0x55, 0x00, bytes.length, ...bytes)),
)
const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
const anyMessage: fc.Arbitrary<BitswapMessage> = plainRecord({
  wantlist: fc.array(
    plainRecord({
      cid: cidBytes,
      priority: int32,
      cancel: fc.boolean(),
      wantHave: fc.boolean(),
      sendDontHave: fc.boolean(),
    }),
  ),
  full: fc.boolean(),
  bareBlocks: fc.array(fc.uint8Array()),
  payload: fc.array(plainRecord({ prefix: fc.uint8Array(), data: fc.uint8Array({ maxLength: 300 }) })),
  presences: fc.array(plainRecord({ cid: cidBytes, have: fc.boolean() })),
  pendingBytes: int32,
})

test('every message survives encoding and decoding', () => {
  fc.assert(
    fc.property(anyMessage, message => {
      assert.deepEqual(decodeMessage(encodeMessage(message)), message)
    }),
  )
})

test('empty messages, a byte each on the wire, are all the same one', () => {
  const seen: BitswapMessage[] = []
  const reader = new FrameReader(1 << 20, bytes => seen.push(decodeMessage(bytes)))
  reader.push(new Uint8Array(1000))
  assert.equal(seen.length, 1000)
  assert.equal(new Set(seen).size, 1)
  assert.deepEqual(seen[0], decodeMessage(encodeMessage({})))
})

test('frames arrive whole however the stream is cut', () => {
  fc.assert(
    fc.property(fc.array(anyMessage, { maxLength: 4 }), fc.integer({ min: 1, max: 50 }), (messages, step) => {
      const stream = Uint8Array.from(messages.flatMap(message => [...concatBytes(encodeFrame(message))]))
      const seen: BitswapMessage[] = []
      const reader = new FrameReader(1 << 20, bytes => seen.push(decodeMessage(bytes)))
      for (let at = 0; at < stream.length; at += step) reader.push(stream.subarray(at, at + step))
      assert.deepEqual(seen, messages)
      assert.equal(reader.pendingBytes, 0)
    }),
  )
})

test('random bytes are refused with a coded error or understood, never anything else', () => {
  const read = (bytes: Uint8Array) => {
    try {
      decodeMessage(bytes)
    } catch (error) {
      assert.ok(error instanceof BitswapError)
      assert.equal(error.code, 'BITSWAP_BAD_MESSAGE')
    }
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), read), { numRuns: 2000 })
  // Bytes that nearly are a message: one changed, the end cut off.
  fc.assert(
    fc.property(anyMessage, fc.nat(), fc.nat(255), fc.nat(), (message, at, value, end) => {
      const bytes = encodeMessage(message)
      bytes[at % bytes.length] = value
      read(bytes.subarray(0, end % (bytes.length + 1)))
    }),
    { numRuns: 1000 },
  )
})

test('random streams hold no more than was sent', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 60 })), chunks => {
      const reader = new FrameReader(100, bytes => assert.ok(bytes.length <= 100))
      try {
        for (const chunk of chunks) {
          reader.push(chunk)
          assert.ok(reader.pendingBytes <= 100)
        }
      } catch (error) {
        assert.ok(error instanceof BitswapError)
      }
    }),
  )
})

test('a CID has one form: numbers longer than need be are refused', () => {
  // Found by fuzzing: the server, which reads the CID with the library, lost the wants that came with it.
  for (const hex of [
    '0155fffffffe00059cdb624b17',
    '8100551200',
    '01d500120161',
    '015592000161',
    '015512810061',
  ]) {
    const cid = fromHex(hex)
    assert.equal(keyOfCidBytes(cid), undefined, hex)
    const entry = { cid, priority: 1, cancel: false, wantHave: false, sendDontHave: true }
    assert.throws(
      () => decodeMessage(encodeMessage({ wantlist: [entry] })),
      { code: 'BITSWAP_BAD_MESSAGE' },
      hex,
    )
  }
})

test('a message in single bytes takes little more memory than its length', () => {
  const data = new Uint8Array(1_500_000).fill(7)
  const frame = concatBytes(encodeFrame({ bareBlocks: [data] }))
  const messages: Uint8Array[] = []
  const reader = new FrameReader(2_000_000, message => messages.push(message))
  const inUse = () => process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers
  const before = inUse()
  for (let i = 0; i < frame.length - 1; i++) reader.push(frame.subarray(i, i + 1))
  // Kept as they came, they would take a hundred bytes each.
  assert.ok(inUse() - before < 80_000_000, `${inUse() - before} bytes`)
  reader.push(frame.subarray(-1))
  assert.deepEqual(decodeMessage(messages[0] as Uint8Array).bareBlocks, [data])
})

test('a message that claims to be too long is refused before it arrives', () => {
  const reader = new FrameReader(4 << 20, () => assert.fail('nothing has arrived'))
  assert.throws(() => reader.push(fromHex('8180808010')), { code: 'BITSWAP_BAD_MESSAGE' })
  assert.throws(() => new FrameReader(4 << 20, () => undefined).push(fromHex('80808080808000')), BitswapError)
})

test('a message of countless tiny items is refused', () => {
  const presence = fromHex('22060a0401550000')
  const message = new Uint8Array((MAX_MESSAGE_ITEMS + 1) * presence.length)
  for (let at = 0; at < message.length; at += presence.length) message.set(presence, at)
  assert.throws(() => decodeMessage(message), { code: 'BITSWAP_BAD_MESSAGE' })
  assert.equal(decodeMessage(message.subarray(presence.length)).presences.length, MAX_MESSAGE_ITEMS)
})

test('malformed CIDs are refused', () => {
  for (const cid of [
    '',
    '00',
    '0155',
    '01551220',
    '015500058080',
    '02550000',
    `0155008202${'00'.repeat(258)}`,
  ]) {
    const bytes = fromHex(cid)
    const entry = { cid: bytes, priority: 1, cancel: false, wantHave: false, sendDontHave: false }
    assert.throws(() => decodeMessage(encodeMessage({ wantlist: [entry] })), BitswapError, cid)
    assert.throws(
      () => decodeMessage(encodeMessage({ presences: [{ cid: bytes, have: true }] })),
      BitswapError,
    )
  }
})

test('one block has one key under every version and codec', () => {
  const v1 = CID.parse('bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi')
  const raw = CID.createV1(0x55, v1.multihash)
  for (const cid of [v1, raw, v1.toV0()]) {
    assert.equal(keyOfCid(cid), keyOfCid(v1))
    assert.equal(keyOfCidBytes(cid.bytes), keyOfCid(v1))
  }
  assert.equal(toHex(prefixOfCidBytes(v1.toV0().bytes)), '00701220')
  assert.equal(toHex(prefixOfCidBytes(raw.bytes)), '01551220')
})
