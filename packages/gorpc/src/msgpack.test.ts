import { fromHex, toHex } from '@ipfs-cluster/base'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import * as codec from './codec.ts'
import { decodeObject, encodeObject, field, omitEmpty, struct } from './codec.ts'
import { ObjectScanner } from './msgpack-scanner.ts'
import { MsgpackError, MsgpackReader, MsgpackWriter } from './msgpack.ts'
import type { Codec } from './types.ts'

const hex = <T>(type: Codec<T>, value: T) => toHex(encodeObject(type, value))
const read = <T>(type: Codec<T>, text: string) => decodeObject(type, fromHex(text.replaceAll(' ', '')))
const fails = (code: string) => (error: unknown) => error instanceof MsgpackError && error.code === code

test('integers take the forms of Go’s encoder', () => {
  const signed: [number | bigint, string][] = [
    [0, '00'],
    [127, '7f'],
    [128, 'd10080'],
    [200, 'd100c8'],
    [4096, 'd11000'],
    [32767, 'd17fff'],
    [32768, 'd200008000'],
    [65536, 'd200010000'],
    [2 ** 31 - 1, 'd27fffffff'],
    [2 ** 31, 'd30000000080000000'],
    [1700000000123456789n, 'd317979cfe3d85cd15'],
    [-1, 'ff'],
    [-32, 'e0'],
    [-33, 'd0df'],
    [-128, 'd080'],
    [-129, 'd1ff7f'],
    [-32769, 'd2ffff7fff'],
    [-(2 ** 31) - 1, 'd3ffffffff7fffffff'],
    [-(2n ** 63n), 'd38000000000000000'],
  ]
  for (const [value, expected] of signed) {
    assert.equal(hex(codec.int64, BigInt(value)), expected)
    if (typeof value === 'number') assert.equal(hex(codec.int, value), expected)
  }
  const unsigned: [number | bigint, string][] = [
    [127, '7f'],
    [128, 'cc80'],
    [255, 'ccff'],
    [256, 'cd0100'],
    [65536, 'ce00010000'],
    [2 ** 32, 'cf0000000100000000'],
    [2n ** 64n - 1n, 'cfffffffffffffffff'],
  ]
  for (const [value, expected] of unsigned) {
    assert.equal(hex(codec.uint64, BigInt(value)), expected)
    if (typeof value === 'number') assert.equal(hex(codec.uint, value), expected)
  }
})

test('times, text, bytes, nil and floats take the forms of Go’s encoder', () => {
  const s = 1_000_000_000n
  assert.equal(hex(codec.time, 1700000000n * s + 123456789n), 'a81d6f34546553f100')
  assert.equal(hex(codec.time, 1700000000n * s), 'a46553f100')
  assert.equal(hex(codec.time, 0n), 'a400000000')
  assert.equal(hex(codec.time, null), 'c0')
  assert.equal(hex(codec.time, -s + 5n), 'ac00000005ffffffffffffffff')
  assert.equal(hex(codec.string, 'ü'), 'a2c3bc')
  assert.equal(hex(codec.string, 'a'.repeat(31)), `bf${'61'.repeat(31)}`)
  assert.equal(hex(codec.string, 'a'.repeat(32)), `da0020${'61'.repeat(32)}`)
  assert.equal(hex(codec.bytes, new Uint8Array(65536)).slice(0, 10), 'db00010000')
  assert.equal(hex(codec.emptyStruct, codec.EMPTY), '80')
  assert.equal(hex(codec.nullable(codec.string), null), 'c0')
  assert.equal(hex(codec.float, 1.5), 'cb3ff8000000000000')
  assert.equal(hex(codec.map(codec.int), { b: 2, a: 1 }), '82a16101a16202')
})

test('the reader is as lenient as Go’s', () => {
  for (const form of [
    '07',
    'cc07',
    'cd0007',
    'ce00000007',
    'cf0000000000000007',
    'd007',
    'd10007',
    'd200000007',
  ]) {
    assert.equal(read(codec.int, form), 7)
    assert.equal(read(codec.uint64, form), 7n)
  }
  assert.equal(read(codec.int, 'ca40e00000'), 7)
  assert.equal(read(codec.int64, 'cb401c000000000000'), 7n)
  for (const form of ['a161', 'd90161', 'da000161', 'db0000000161', 'c40161', 'c5000161', 'c60000000161']) {
    assert.equal(read(codec.string, form), 'a')
    assert.deepEqual(read(codec.bytes, form), fromHex('61'))
  }
  for (const form of ['a46553f100', 'c4046553f100', 'd6ff6553f100', 'c704ff6553f100']) {
    assert.equal(read(codec.time, form), 1700000000n * 1_000_000_000n)
  }
  assert.equal(read(codec.time, 'd7ff 1d6f34546553f100'), 1700000000123456789n)
  assert.equal(read(codec.time, 'c70cff 00000005ffffffffffffffff'), -999_999_995n)
  assert.equal(read(codec.time, 'ac00000000fffffff1886e0900'), null, 'Go’s zero time')
  for (const form of ['c0', '80', '90', '81a16101', '920102'])
    assert.equal(read(codec.emptyStruct, form), codec.EMPTY)
  for (const type of [
    codec.int,
    codec.string,
    codec.bool,
    codec.time,
    codec.list(codec.int),
    codec.uint64,
    codec.float,
  ]) {
    assert.deepEqual(read<unknown>(type, 'c0'), type.zero)
  }
})

test('what Go refuses is refused', () => {
  assert.throws(() => read(codec.int, 'a161'), fails('MSGPACK_WRONG_TYPE'))
  assert.throws(() => read(codec.string, '01'), fails('MSGPACK_WRONG_TYPE'))
  assert.throws(() => read(codec.emptyStruct, 'a0'), fails('MSGPACK_WRONG_TYPE'))
  assert.throws(() => read(codec.time, '01'), fails('MSGPACK_WRONG_TYPE'))
  assert.throws(() => read(codec.time, 'd70100000000 00000000'), fails('MSGPACK_WRONG_TYPE'))
  assert.throws(() => read(codec.time, 'a3000000'), fails('MSGPACK_BAD_VALUE'))
  assert.throws(() => read(codec.int, 'cb3ff8000000000000'), fails('MSGPACK_BAD_VALUE'))
  assert.throws(() => read(codec.uint, 'ff'), fails('MSGPACK_BAD_VALUE'))
  assert.throws(() => read(codec.int, 'cfffffffffffffffff'), fails('MSGPACK_BAD_VALUE'))
  assert.throws(() => read(codec.int64, 'cfffffffffffffffff'), fails('MSGPACK_BAD_VALUE'))
  assert.throws(() => read(codec.string, 'a2 61'), fails('MSGPACK_TRUNCATED'))
  assert.throws(() => read(codec.int, 'c1'), fails('MSGPACK_WRONG_TYPE'))
  assert.throws(() => read(codec.int, '0101'), fails('MSGPACK_BAD_VALUE'))
  assert.throws(() => encodeObject(codec.uint, -1), fails('MSGPACK_BAD_VALUE'))
  assert.throws(() => encodeObject(codec.int, 0.5), fails('MSGPACK_BAD_VALUE'))
  assert.throws(() => encodeObject(codec.int64, 1n << 63n), fails('MSGPACK_BAD_VALUE'))
})

test('announced lengths are believed only as far as there are bytes', () => {
  // Four thousand million items or bytes announced, none there.
  assert.throws(() => read(codec.list(codec.int), 'ddffffffff00'), fails('MSGPACK_TRUNCATED'))
  assert.throws(() => read(codec.map(codec.int), 'dfffffffff00'), fails('MSGPACK_TRUNCATED'))
  assert.throws(() => read(codec.bytes, 'c6ffffffff00'), fails('MSGPACK_TRUNCATED'))
  assert.throws(() => read(codec.emptyStruct, 'ddffffffff00'), fails('MSGPACK_TRUNCATED'))
})

interface Sample {
  readonly name: string
  readonly size: bigint
  readonly when: bigint | null
  readonly tags: Readonly<Record<string, string>> | null
  readonly parts: readonly number[]
}

const sample = struct<Sample>({
  name: field('n', codec.string),
  size: omitEmpty('s', codec.uint64),
  when: omitEmpty('w', codec.time),
  tags: omitEmpty('t', codec.nullable(codec.map(codec.string))),
  parts: omitEmpty('p', codec.list(codec.int)),
})
const empty: Sample = { name: '', size: 0n, when: null, tags: null, parts: [] }

test('structs: keys in order, omitempty, unknown and missing keys, any key order, lists', () => {
  assert.equal(hex(sample, empty), '81a16ea0')
  assert.equal(hex(sample, { ...empty, name: 'x', tags: {}, parts: [1] }), '83a16ea178a17480a1709101')
  assert.deepEqual(read(sample, '80'), empty)
  assert.deepEqual(read(sample, 'c0'), empty)
  assert.deepEqual(read(sample, '82 a17302 a16ea178'), { ...empty, name: 'x', size: 2n })
  assert.deepEqual(read(sample, '83 a16ea178 a178 82a1619201c0a16201 a17302'), {
    ...empty,
    name: 'x',
    size: 2n,
  })
  assert.deepEqual(read(sample, '81 c4016e a178'), { ...empty, name: 'x' }, 'key as bin')
  assert.deepEqual(read(sample, '92 a178 02'), { ...empty, name: 'x', size: 2n })
  assert.deepEqual(read(sample, '96 a178 02 c0 c0 90 a179'), { ...empty, name: 'x', size: 2n })
  assert.deepEqual(read(sample, '82 a16ea178 a16ea179'), { ...empty, name: 'y' }, 'the last of equal keys')
  const odd = read(codec.map(codec.string), '81 a95f5f70726f746f5f5f a178')
  assert.deepEqual(Object.entries(odd), [['__proto__', 'x']])
})

test('a struct whose field has no zero value must be given it', () => {
  const even = codec.binary({
    read(bytes) {
      if (bytes.length % 2 === 1) throw new RangeError('odd')
      return toHex(bytes)
    },
    write: fromHex,
  })
  const holder = struct<{ even: string }>({ even: field('e', even) })
  assert.equal(holder.zero, undefined)
  assert.deepEqual(read(holder, '81a165a20102'), { even: '0102' })
  assert.throws(() => read(holder, '80'), fails('MSGPACK_BAD_VALUE'))
  assert.throws(() => read(holder, '81a165c0'), fails('MSGPACK_WRONG_TYPE'))
  assert.throws(() => read(holder, '81a165a101'), /\[pos 3\]: odd/)
})

const samples: fc.Arbitrary<Sample> = fc.record(
  {
    name: fc.string({ unit: 'binary' }).filter(text => text.isWellFormed()),
    size: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    when: fc.option(
      fc.bigInt({ min: -(2n ** 62n), max: 2n ** 90n }).filter(ns => ns !== -62135596800n * 10n ** 9n),
    ),
    tags: fc.option(fc.dictionary(fc.string(), fc.string(), { noNullPrototype: true })),
    parts: fc.array(fc.maxSafeInteger(), { maxLength: 40 }),
  },
  { noNullPrototype: true },
)

test('what is written is read again', () => {
  fc.assert(
    fc.property(samples, value => {
      assert.deepEqual(decodeObject(sample, encodeObject(sample, value)), value)
    }),
  )
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), value => {
      assert.equal(decodeObject(codec.int64, encodeObject(codec.int64, value)), value)
    }),
  )
  fc.assert(
    fc.property(fc.double({ noNaN: true }), value => {
      assert.equal(decodeObject(codec.float, encodeObject(codec.float, value)), value)
    }),
  )
})

test('the scanner finds the end of an object however its bytes arrive', () => {
  fc.assert(
    fc.property(
      fc.array(samples, { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 1, max: 50 }),
      (values, step) => {
        const bytes = encodeObject(codec.list(sample), values)
        const scanner = new ObjectScanner()
        let end = 0
        while (!scanner.scan(bytes, 0, end, bytes.length)) end = Math.min(bytes.length, end + step)
        assert.equal(scanner.length, bytes.length)
        assert.ok(end > bytes.length - step || end === bytes.length)
        assert.throws(
          () => new ObjectScanner().scan(bytes, 0, bytes.length, bytes.length - 1),
          fails('MSGPACK_TOO_LARGE'),
        )
      },
    ),
  )
})

test('an object known to be too large is refused by its header', () => {
  const tooLarge = (text: string) => () => new ObjectScanner().scan(fromHex(text), 0, text.length / 2, 1000)
  assert.throws(tooLarge('c6000003e8'), fails('MSGPACK_TOO_LARGE'))
  assert.throws(tooLarge('dd000003e8'), fails('MSGPACK_TOO_LARGE'))
  assert.throws(tooLarge('df000001f4'), fails('MSGPACK_TOO_LARGE'))
})

test('random bytes give a value or a MsgpackError, at any depth, and never hold memory they announce', () => {
  const deep = new Uint8Array(1_000_000).fill(0x91)
  assert.throws(() => new MsgpackReader(deep).skip(), fails('MSGPACK_TRUNCATED'))
  const types: Codec<unknown>[] = [
    sample,
    codec.list(sample),
    codec.map(codec.time),
    codec.emptyStruct,
    codec.float,
  ]
  const heads = [
    0x80, 0x81, 0x85, 0x95, 0xa1, 0xc0, 0xc4, 0xc6, 0xc7, 0xcb, 0xcf, 0xd3, 0xd7, 0xda, 0xdb, 0xdd, 0xdf,
  ]
  const byte = fc.oneof(
    fc.constantFrom(...heads),
    fc.constantFrom(...'nswtp'.split('').map(c => c.charCodeAt(0))),
    fc.integer({ min: 0, max: 255 }),
  )
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 60 }), fc.nat(types.length - 1), (input, which) => {
      const type = types[which] as Codec<unknown>
      const bytes = Uint8Array.from(input)
      try {
        type.decode(new MsgpackReader(bytes))
      } catch (error) {
        assert.ok(error instanceof MsgpackError, String(error))
      }
      try {
        new ObjectScanner().scan(bytes, 0, bytes.length, 1000)
      } catch (error) {
        assert.ok(error instanceof MsgpackError, String(error))
      }
    }),
    { numRuns: 5000 },
  )
})

test('the writer hands over its bytes and can take back the last of them', () => {
  const writer = new MsgpackWriter()
  writer.string('kept')
  const length = writer.length
  writer.string('not kept')
  writer.truncate(length)
  const first = writer.take()
  writer.int(5)
  assert.equal(toHex(first), 'a46b657074')
  assert.equal(toHex(writer.take()), '05')
})

test('large bytes are handed over as they were given, and taken back in the middle of a piece', () => {
  const large = new Uint8Array(100_000).fill(7)
  const plain = new MsgpackWriter()
  const add = (writer: MsgpackWriter) => {
    writer.string('before')
    writer.bytes(large)
    writer.int(1000)
    writer.bytes(large.subarray(0, 20_000))
  }
  add(plain)
  const pieces = plain.takePieces()
  assert.equal(pieces.length, 4)
  assert.equal(pieces[1], large)
  const whole = Buffer.concat(pieces)
  const reader = new MsgpackReader(new Uint8Array(whole))
  assert.equal(reader.string(), 'before')
  assert.deepEqual(reader.bytes(), large)
  assert.equal(reader.int(), 1000)
  assert.deepEqual(reader.bytes(), large.subarray(0, 20_000))

  for (const kept of [0, 3, 7, 12, 50_000, 100_012, 100_015, 100_020, whole.length]) {
    const writer = new MsgpackWriter()
    add(writer)
    assert.equal(writer.length, whole.length)
    writer.truncate(kept)
    assert.equal(writer.length, kept)
    writer.string('after')
    assert.ok(
      Buffer.concat([whole.subarray(0, kept), Buffer.from('\xa5after', 'latin1')]).equals(writer.take()),
      `${kept}`,
    )
    assert.equal(writer.length, 0)
  }
})
