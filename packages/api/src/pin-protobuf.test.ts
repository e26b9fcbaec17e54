import { concatBytes, fromHex, toHex } from '@ipfs-cluster/base'
import * as fc from 'fast-check'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CID } from 'multiformats/cid'
import { decodePin, encodePin, newPin, type Pin } from './index.ts'
import { ProtoReader } from './proto-reader.ts'
import goPins from './fixtures/go-pins.json' with { type: 'json' }
import { anyPin } from './test-arbitraries.ts'

const TYPES = ['bad-type', 'pin', 'meta-pin', 'clusterdag-pin', 'shard-pin']

for (const vector of goPins) {
  test(`Go's pin ${vector.id} decodes to its fields and encodes to the same bytes`, () => {
    const pin = decodePin(fromHex(vector.hex))
    assert.equal(toHex(encodePin(pin)), vector.hex)
    if (vector.pin === null || vector.pin === undefined) return
    const { options } = vector.pin
    assert.equal(pin.cid.toString(), vector.pin.cid)
    assert.equal(pin.type, TYPES[vector.pin.type])
    assert.deepEqual(pin.allocations, vector.pin.allocations)
    assert.equal(pin.maxDepth, vector.pin.maxDepth)
    assert.equal(pin.mode, vector.pin.maxDepth === 0 ? 'direct' : 'recursive')
    assert.equal(pin.timestamp, BigInt(vector.pin.timestamp) * 1_000_000_000n)
    assert.equal(pin.replicationFactorMin, options.rmin)
    assert.equal(pin.replicationFactorMax, options.rmax)
    assert.equal(pin.name, options.name)
    assert.equal(pin.shardSize, BigInt(options.shardSize))
    assert.deepEqual(pin.origins, options.origins)
    assert.deepEqual({ ...pin.metadata }, options.metadata)
    const expireAt = 'expireAt' in options ? Number(options.expireAt) : null
    assert.equal(pin.expireAt, expireAt === null ? null : BigInt(expireAt) * 1_000_000_000n)
  })
}

const cid = CID.parse('bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku')
const golden =
  '0a2401551220e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855100120013208080110011a026e6d3880e2cfaa06'

test('the golden vector of the reference', () => {
  const pin = newPin(cid, {
    name: 'nm',
    replicationFactorMin: -1,
    replicationFactorMax: -1,
    timestamp: 1_700_000_000_999_999_999n,
  })
  assert.equal(toHex(encodePin(pin)), golden)
})

test('what is stored comes back, what is not stored comes back as Go gives it', () => {
  fc.assert(
    fc.property(anyPin(), pin => {
      assert.deepEqual(decodePin(encodePin(pin)), asStored(pin))
    }),
  )
})

function asStored(pin: Pin): Pin {
  const seconds = (time: bigint | null) => {
    if (time === null) return null
    const whole =
      ((time - (((time % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n)) / 1_000_000_000n) *
      1_000_000_000n
    return whole === 0n ? null : whole
  }
  return {
    ...pin,
    mode: pin.maxDepth === 0 ? 'direct' : 'recursive',
    userAllocations: [],
    expireAt: seconds(pin.expireAt),
    timestamp: seconds(pin.timestamp),
  }
}

test('metadata is sorted by UTF-8 bytes, and odd keys survive', () => {
  const metadata = Object.fromEntries([
    ['\u{1F600}', 'after U+FFFF in bytes'],
    ['\uFFFD', 'before'],
    ['__proto__', 'a key like others'],
    ['10', 'b'],
    ['9', 'a'],
    ['', 'empty key'],
  ])
  const decoded = decodePin(encodePin(newPin(cid, { metadata })))
  assert.deepEqual(Object.entries(decoded.metadata).toSorted(), Object.entries(metadata).toSorted())
  const hex = toHex(encodePin(newPin(cid, { metadata })))
  assert.ok(hex.indexOf('efbfbd') < hex.indexOf('f09f9880'))
})

test('the deprecated metadata map is read, and the sorted list wins', () => {
  const entry = (key: string, value: string) =>
    `0a${byte(key.length)}${toHex(Buffer.from(key))}12${byte(value.length)}${toHex(Buffer.from(value))}`
  const old = entry('k', 'old')
  const both = `32${byte(old.length / 2)}${old}52${byte(entry('k', 'new').length / 2)}${entry('k', 'new')}`
  const pin = decodePin(fromHex(`320032${byte(both.length / 2)}${both}`), cid)
  assert.deepEqual({ ...pin.metadata }, { k: 'new' })
})

const byte = (n: number) => n.toString(16).padStart(2, '0')

test('the CID of the key replaces the stored one, which need not be readable', () => {
  assert.equal(decodePin(fromHex('0a0101'), cid).cid, cid)
  assert.throws(() => decodePin(fromHex('0a0101')), { code: 'API_BAD_PIN' })
})

test('unreadable optional CIDs are none, unknown fields are skipped, cut-off bytes are an error', () => {
  const pin = decodePin(fromHex('2a01017a0161780132053a03010203'), cid)
  assert.equal(pin.reference, null)
  assert.equal(pin.pinUpdate, null)
  for (let end = 1; end < golden.length / 2; end++) {
    const cut = fromHex(golden).subarray(0, end)
    try {
      decodePin(cut)
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'API_BAD_PIN')
    }
  }
  assert.throws(() => decodePin(fromHex('1a0100'), cid), { code: 'API_BAD_PIN' }, 'a bad allocation')
  assert.throws(() => decodePin(fromHex('32044a02ffff'), cid), { code: 'API_BAD_PIN' }, 'a bad origin')
  assert.throws(
    () => decodePin(fromHex('32031a01ff'), cid),
    { code: 'API_BAD_PIN' },
    'a name that is not UTF-8',
  )
})

test('an allocation or origin of a megabyte is refused at once', () => {
  // Field 3, or field 6 with field 9 inside. Converting either to base58 would take minutes.
  const allocation = concatBytes([fromHex('1a808040'), new Uint8Array(2 ** 20)])
  const origin = concatBytes([fromHex('328480404a808040a503'), new Uint8Array(2 ** 20 - 2)])
  for (const bytes of [allocation, origin])
    assert.throws(() => decodePin(bytes, cid), { code: 'API_BAD_PIN' })
})

test('random bytes never crash the decoder', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), bytes => {
      try {
        decodePin(bytes, cid)
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'API_BAD_PIN')
      }
    }),
  )
})

test('a reader that does not know of sizes passes over them', () => {
  const oldReader = (bytes: Uint8Array) => {
    const fields: number[] = []
    const reader = new ProtoReader(bytes)
    for (let field = reader.next(); field !== 0; field = reader.next()) {
      fields.push(field)
      if (field !== 6) reader.skip()
      else {
        const options = reader.message()
        for (let inner = options.next(); inner !== 0; inner = options.next()) {
          if (inner > 10) assert.equal(Math.floor(inner / 10), 100)
          options.skip()
        }
      }
    }
    return fields
  }
  fc.assert(
    fc.property(anyPin(), pin => {
      const { size: _size, maxPinSize: _max, ...without } = pin
      const [long, short] = [encodePin(pin), encodePin(without)]
      // The fields that Go knows come first, as if there were nothing else.
      assert.deepEqual(oldReader(long), oldReader(short))
      assert.deepEqual(decodePin(short), asStored(without))
    }),
  )
})

test('sizes are written behind what Go knows, and only when they are there', () => {
  const pin = newPin(cid, {
    replicationFactorMin: -1,
    replicationFactorMax: -1,
    name: 'nm',
    timestamp: 1_700_000_000_999_999_999n,
  })
  assert.equal(toHex(encodePin(pin)), golden)
  const hex = toHex(encodePin({ ...pin, size: 300n, maxPinSize: 5n }))
  assert.ok(hex.includes('320f080110011a026e6dc83eac02d03e05'), hex)
})
