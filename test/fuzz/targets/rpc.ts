/** Msgpack: finding objects in a stream, and the codec of every argument and reply. */
import { utf8 } from '@ipfs-cluster/base'
import { type Codec, encodeObject, MsgpackError, MsgpackReader } from '@ipfs-cluster/gorpc'
import { ObjectScanner } from '../../../packages/gorpc/src/msgpack-scanner.ts'
import { ObjectReader } from '../../../packages/gorpc/src/object-reader.ts'
import { MAX_OBJECT_BYTES, response, serviceId } from '../../../packages/gorpc/src/protocol.ts'
import { decodeMetric, encodeMetric } from '../../../packages/peer/src/net/rpc/codecs.ts'
import { MemoryStream } from '../streams.ts'
import { check, checkStable, pieces, refusedBy, type Target } from '../target.ts'
import { METRICS, REQUESTS, RESPONSES, RPC_CODECS, valuesOfCodec } from './rpc-values.ts'

const refusal = refusedBy(MsgpackError)
const streams = () => [...REQUESTS, ...RESPONSES]

/** Keys of structs and a few whole objects. */
const tokens: readonly Uint8Array[] = [
  ...'c n p e v d w o t a i r s m g st ts ua pu rn rx y ia pn cp cpa id k'.split(' ').map(key => key),
  'Name',
  'Method',
  'Service',
  'Error',
  'ErrType',
].map(key => Uint8Array.of(0xa0 + key.length, ...utf8(key)))

function decodeExactly<T>(codec: Codec<T>, bytes: Uint8Array): T {
  const reader = new MsgpackReader(bytes)
  const value = codec.decode(reader)
  check(reader.offset <= bytes.length, 'nothing is read beyond the end')
  return value
}

function codecTarget<T>(name: string, codec: Codec<T>, corpus: () => readonly Uint8Array[]): Target {
  return {
    name,
    format: 'msgpack',
    corpus,
    tokens,
    refusal,
    run(input) {
      const value = decodeExactly(codec, input)
      checkStable(
        value,
        each => encodeObject(codec, each),
        bytes => decodeExactly(codec, bytes),
      )
      return true
    },
  }
}

const LIMIT = 4096

const scanner: Target = {
  name: 'msgpack scanner',
  format: 'msgpack',
  corpus: streams,
  tokens,
  refusal,
  run(input, random) {
    // All at once, then as it arrives: same answer, same length.
    const outcome = (steps: readonly number[]) => {
      const scanning = new ObjectScanner()
      try {
        let whole = false
        for (const end of steps) whole = scanning.scan(input, 0, end, LIMIT)
        return whole ? `${scanning.length}` : 'not whole'
      } catch (error) {
        if (!(error instanceof MsgpackError)) throw error
        return error.code
      }
    }
    const ends: number[] = []
    let at = 0
    for (const piece of pieces(input, random)) ends.push((at += piece.length))
    const whole = outcome([input.length])
    // Bytes behind a complete object do not matter, so the scan in steps may be over before it sees them.
    check(
      outcome(ends.length === 0 ? [0] : ends) === whole,
      'the scanner does not depend on how bytes arrive',
    )
    const reader = new MsgpackReader(input)
    reader.skip()
    if (/^\d+$/.test(whole)) check(reader.offset === Number(whole), 'skipping and scanning agree')
    return true
  },
}

const objectReader: Target = {
  name: 'msgpack ObjectReader on a stream',
  share: 0.3,
  format: 'msgpack',
  corpus: streams,
  tokens,
  refusal,
  // Events and lists of libp2p for each piece, which may be one byte.
  allocation: { perByte: 4_000, constant: 4 * 1024 * 1024 },
  async run(input, random) {
    const [near, far] = MemoryStream.pair()
    const reader = new ObjectReader(far)
    try {
      for (const piece of pieces(input, random)) {
        near.send(piece)
        if (random.int(8) === 0) await Promise.resolve()
      }
      await near.close()
      let at = 0
      while (true) {
        const object = reader.poll(MAX_OBJECT_BYTES) ?? (await reader.next(MAX_OBJECT_BYTES))
        if (object === undefined) break
        const { remaining } = object
        object.skip()
        check(object.remaining === 0, 'an object is handed out whole and alone')
        at += remaining
      }
      check(at === input.length, 'every byte belongs to an object')
      return true
    } finally {
      far.abort(new Error('done'))
      near.abort(new Error('done'))
    }
  },
}

const metric: Target = {
  name: 'metric payload',
  format: 'msgpack',
  corpus: () => METRICS,
  tokens,
  refusal,
  run(input) {
    checkStable(decodeMetric(input), encodeMetric, decodeMetric)
    return true
  },
}

const headers = (bytes: Uint8Array, side: 'request' | 'response') => {
  const reader = new MsgpackReader(bytes)
  reader.skip()
  return side === 'request' || reader.offset < bytes.length ? [bytes.slice(0, reader.offset)] : []
}

export const rpcTargets: readonly Target[] = [
  scanner,
  objectReader,
  codecTarget('rpc ServiceID', serviceId, () => REQUESTS.flatMap(bytes => headers(bytes, 'request'))),
  codecTarget('rpc Response', response, () => RESPONSES.flatMap(bytes => headers(bytes, 'response'))),
  metric,
  ...RPC_CODECS.map(({ name, method, side }) =>
    codecTarget(`rpc ${name}`, method[side], () => valuesOfCodec(method, side)),
  ),
]
