import { concatBytes, fromHex, toHex, utf8 } from '@ipfs-cluster/base'
import {
  decodeObject,
  field,
  int,
  MsgpackError,
  MsgpackReader,
  MsgpackWriter,
  omitEmpty,
  string,
  struct,
  type RpcMethod,
} from '@ipfs-cluster/gorpc'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import * as fc from 'fast-check'
import * as codecs from './codecs.ts'
import { decodeMetric, encodeMetric } from './codecs.ts'
import { RPC, RPC_METHODS } from './methods.ts'

interface Vector {
  readonly id: string
  readonly request_hex: string
  /** What a Go peer answered. */
  readonly response_hex?: string
  /** What was answered to a Go peer, which accepted it. */
  readonly reply_given_hex?: string
  readonly payload_hex: string
}

/** Recorded from Go 1.1.6 peers. */
function fixture(name: string): readonly Vector[] {
  const text = readFileSync(new URL(`fixtures/${name}.json`, import.meta.url), 'utf8')
  return (JSON.parse(text) as { vectors: Vector[] }).vectors
}

interface ServiceId {
  readonly name: string
  readonly method: string
}
const serviceId = struct<ServiceId>({ name: field('Name', string), method: field('Method', string) })
const response = struct<{ id: ServiceId; error: string; errorType: number }>({
  id: omitEmpty('Service', serviceId),
  error: omitEmpty('Error', string),
  errorType: omitEmpty('ErrType', int),
})

function methodOf({ name, method }: ServiceId): RpcMethod<unknown, unknown> | undefined {
  return RPC_METHODS.find(known => known.service === name && known.method === method)
}

/**
 * The same object without the empty texts, lists and maps inside its maps: Go writes those that are not nil, which our types do not
 * tell from nil, and does not care when reading.
 */
function withoutEmpty(bytes: Uint8Array): string {
  const writer = new MsgpackWriter()
  const copy = (reader: MsgpackReader) => {
    const start = reader.offset
    if (reader.kind() === 'list') {
      const length = reader.listHeader()
      writer.listHeader(length)
      for (let i = 0; i < length; i++) copy(reader)
    } else if (reader.kind() === 'map') {
      const entries: [Uint8Array, number][] = []
      const size = reader.mapHeader()
      for (let i = 0; i < size; i++) {
        const key = reader.raw()
        const at = reader.offset
        reader.skip()
        if (![0x80, 0x90, 0xa0].includes(bytes[at] as number)) entries.push([key, at])
      }
      writer.mapHeader(entries.length)
      for (const [key, at] of entries) {
        writer.bytes(key)
        copy(new MsgpackReader(bytes, at))
      }
    } else {
      reader.skip()
      writer.encoded(bytes.subarray(start, reader.offset))
    }
  }
  const reader = new MsgpackReader(bytes)
  while (reader.remaining > 0) copy(reader)
  return toHex(writer.take())
}

/** Reads a request with the codecs of its method and writes it again. */
function rewriteRequest(bytes: Uint8Array): Uint8Array {
  const reader = new MsgpackReader(bytes)
  const writer = new MsgpackWriter()
  const id = serviceId.decode(reader)
  serviceId.encode(writer, id)
  const method = methodOf(id)
  assert.ok(method, `unknown method ${id.name}.${id.method}`)
  while (reader.remaining > 0) method.arg.encode(writer, method.arg.decode(reader))
  return writer.take()
}

/** Reads responses with the codecs of their method and writes them again; bodies of errors stay as they are. */
function rewriteResponse(bytes: Uint8Array): Uint8Array {
  const reader = new MsgpackReader(bytes)
  const writer = new MsgpackWriter()
  while (reader.remaining > 0) {
    const head = response.decode(reader)
    response.encode(writer, head)
    const start = reader.offset
    if (head.error === '') {
      const { reply } = methodOf(head.id) ?? assert.fail(`unknown method ${head.id.method}`)
      reply.encode(writer, reply.decode(reader))
    } else {
      reader.skip()
      writer.encoded(bytes.subarray(start, reader.offset))
    }
  }
  return writer.take()
}

test('requests between JavaScript and Go peers are written as recorded', () => {
  const odd = [
    'unknown-service',
    'unknown-method',
    'closed-method',
    'undecodable-arg',
    'undecodable-arg-int',
    'nil-arg',
    'modern-msgpack',
  ]
  const vectors = [...fixture('gorpc'), ...fixture('gorpc-go-client')].filter(({ id }) => !odd.includes(id))
  assert.ok(vectors.length > 35)
  for (const { id, request_hex } of vectors) {
    assert.equal(toHex(rewriteRequest(fromHex(request_hex))), request_hex, id)
  }
})

test('responses of Go peers are written as recorded', () => {
  let exact = 0
  // The answer to an undefined CID, which our types do not have.
  const vectors = fixture('gorpc').filter(({ id }) => id !== 'nil-arg')
  for (const { id, response_hex = '' } of vectors) {
    const bytes = fromHex(response_hex)
    const ours = rewriteResponse(bytes)
    assert.equal(withoutEmpty(ours), withoutEmpty(bytes), id)
    if (toHex(ours) === response_hex) exact++
  }
  // The others hold empty texts or lists (statuses).
  assert.ok(exact >= vectors.length - 9, `${exact} of ${vectors.length} to the byte`)
  for (const { id, reply_given_hex = '' } of fixture('gorpc-go-client')) {
    assert.equal(toHex(rewriteResponse(fromHex(reply_given_hex))), reply_given_hex, id)
  }
})

test('odd requests are read or refused as Go does', () => {
  const argOf = (id: string) => {
    const vector = fixture('gorpc').find(vector => vector.id === id) ?? assert.fail(id)
    const reader = new MsgpackReader(fromHex(vector.request_hex))
    serviceId.decode(reader)
    return RPC.PinTracker.Status.arg.decode(reader)
  }
  assert.throws(() => argOf('undecodable-arg'), MsgpackError)
  assert.throws(() => argOf('undecodable-arg-int'), MsgpackError)
  assert.throws(() => argOf('nil-arg'), MsgpackError)
  assert.equal(argOf('modern-msgpack').toString(), argOf('PinTracker.Status').toString())
})

test('metrics of Go peers are written as recorded, and read with the old prefix', () => {
  const vectors = fixture('metrics')
  assert.ok(vectors.length >= 4)
  for (const { id, payload_hex } of vectors) {
    const bytes = fromHex(payload_hex)
    const read = decodeMetric(bytes)
    assert.equal(toHex(encodeMetric(read)), payload_hex, id)
    assert.deepEqual(decodeMetric(concatBytes([utf8('\t/msgpack\n'), bytes])), read)
  }
  assert.throws(() => decodeMetric(utf8('\t/msgpack\n')), MsgpackError)
})

test('random bytes give a value or a MsgpackError for every method', () => {
  const pieces = [...fixture('gorpc')].flatMap(({ request_hex, response_hex = '' }) => [
    request_hex,
    response_hex,
  ])
  fc.assert(
    fc.property(
      fc.constantFrom(...pieces.filter(text => text !== '')),
      fc.constantFrom(...RPC_METHODS),
      fc.nat(),
      fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 4 }),
      (text, method, start, changes) => {
        const bytes = fromHex(text).slice(start % (text.length / 2))
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte
        for (const codec of [method.arg, method.reply]) {
          try {
            codec.decode(new MsgpackReader(bytes))
          } catch (error) {
            assert.ok(error instanceof MsgpackError, String(error))
          }
        }
      },
    ),
    { numRuns: 3000 },
  )
  const long = concatBytes([fromHex('db00010000'), new Uint8Array(65536)])
  for (const codec of [codecs.peerId, codecs.cid, codecs.multiaddr]) {
    assert.throws(() => decodeObject<unknown>(codec, long), MsgpackError)
  }
})
