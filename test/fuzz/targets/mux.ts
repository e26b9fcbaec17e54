/** The protocol of many calls on one stream: its frames, the server of a stream, and the client of one. */
import { equalBytes, silentLogger, systemClock } from '@ipfs-cluster/base'
import { createRpcClient, createRpcServer, MsgpackReader, MUX_PROTOCOL, RpcError } from '@ipfs-cluster/gorpc'
import {
  FRAME,
  type Frame,
  FrameError,
  FrameReader,
  FrameWriter,
} from '../../../packages/gorpc/src/mux-frame.ts'
import { response } from '../../../packages/gorpc/src/protocol.ts'
import { RPC, RPC_METHODS } from '../../../packages/peer/src/net/rpc/index.ts'
import { PEER } from '../corpus.ts'
import { MemoryStream } from '../streams.ts'
import { check, neverRefuses, pieces, refusedBy, type Target } from '../target.ts'
import { REQUESTS, RESPONSES, valuesOf } from './rpc-values.ts'
import { HANDLERS, nextTurn, sendInPieces } from './sessions.ts'

/** Sometimes each in two pieces, and with a cancel between. */
function framed(type: (typeof FRAME)[keyof typeof FRAME], payloads: readonly Uint8Array[]): Uint8Array {
  const writer = new FrameWriter()
  for (const [i, payload] of payloads.entries()) {
    const half = i % 3 === 0 ? Math.floor(payload.length / 2) : 0
    if (half > 0) writer.add(type, i + 1, payload.subarray(0, half), true)
    if (i % 4 === 3) writer.add(FRAME.cancel, i, new Uint8Array(0), false)
    writer.add(type, i + 1, payload.subarray(half), false)
  }
  return writer.take()
}

const requests = REQUESTS.map((_, i) => framed(FRAME.request, REQUESTS.slice(i, i + 1 + (i % 5))))
const ids = valuesOf(RPC.Cluster.ID, 'reply')
const refusals = RESPONSES.flatMap(bytes => {
  const reader = new MsgpackReader(bytes)
  return response.decode(reader).error === '' ? [] : [bytes.slice(0, reader.offset)]
})
const answers = [
  ...ids.map(body => framed(FRAME.reply, [body])),
  ...refusals.map(head => framed(FRAME.error, [head])),
]

function readAll(input: readonly Uint8Array[]): {
  readonly frames: readonly Frame[]
  readonly error: unknown
} {
  const reader = new FrameReader()
  const frames: Frame[] = []
  try {
    for (const piece of input)
      reader.push(piece, frame => frames.push({ ...frame, payload: frame.payload.slice() }))
  } catch (error) {
    return { frames, error }
  }
  return { frames, error: undefined }
}

const frames: Target = {
  name: 'mux frames',
  format: 'bytes',
  corpus: () => [...requests, ...answers],
  refusal: refusedBy(FrameError),
  allocation: { perByte: 1_000, constant: 1024 * 1024 },
  run(input, random) {
    const whole = readAll([input])
    const parts = readAll(pieces(input, random))
    check(whole.frames.length === parts.frames.length, 'as many frames however they arrive')
    check((whole.error === undefined) === (parts.error === undefined), 'refused however it arrives')
    const writer = new FrameWriter()
    for (const { type, id, payload, more } of whole.frames) writer.add(type, id, payload, more)
    const again = readAll([writer.take()])
    for (const [i, { type, id, more, payload }] of whole.frames.entries()) {
      const [part, copy] = [parts.frames[i] as Frame, again.frames[i] as Frame]
      for (const other of [part, copy]) {
        const isSame = other.type === type && other.id === id && other.more === more
        check(isSame && equalBytes(other.payload, payload), 'the same frames, and again after writing')
      }
    }
    if (whole.error !== undefined) throw whole.error
    return true
  },
}

const server: Target = {
  name: 'session: mux server',
  format: 'bytes',
  corpus: () => requests,
  refusal: neverRefuses,
  maxBytes: 64 * 1024,
  allocation: { perByte: 16_000, constant: 8 * 1024 * 1024 },
  async run(input, random) {
    const serving = createRpcServer({
      handlers: HANDLERS,
      unserved: RPC_METHODS.filter(({ service }) => service === 'PeerMonitor'),
      authorize: (_peer, { policy }) => policy !== 'closed' || random.int(2) === 0,
      clock: systemClock,
      logger: silentLogger,
    })
    const [near, far] = MemoryStream.pair(MUX_PROTOCOL)
    const parts: Uint8Array[] = []
    near.addEventListener('message', ({ data }) => void parts.push(data.subarray()))
    let done = random.int(4) === 0 ? undefined : serving.handleMux(far, PEER)
    await sendInPieces(near, input, random)
    const reset = random.int(8) === 0
    if (reset) near.abort(new Error('the caller resets'))
    else if (near.status === 'open') await near.close()
    done ??= serving.handleMux(far, PEER)
    await done
    await nextTurn()
    check(far.status !== 'open' && near.status !== 'open', 'a stream that is over is not open')
    const { frames, error } = readAll(parts)
    check(reset || error === undefined, 'the server answers in frames')
    check(
      frames.every(({ type }) => type !== FRAME.request),
      'the server asks nothing',
    )
    await serving[Symbol.asyncDispose]()
    return true
  },
}

const client: Target = {
  name: 'session: mux client',
  format: 'bytes',
  corpus: () => answers,
  refusal: refusedBy(RpcError),
  maxBytes: 64 * 1024,
  allocation: { perByte: 16_000, constant: 8 * 1024 * 1024 },
  async run(input, random) {
    const [near, far] = MemoryStream.pair(MUX_PROTOCOL)
    far.addEventListener('message', () => undefined)
    await using calling = createRpcClient({
      selfId: 'self',
      localHandler: () => undefined,
      openStream: () => Promise.reject(new Error('only the shared stream')),
      mux: { maySpeak: () => true, open: () => Promise.resolve(near) },
      clock: systemClock,
      logger: silentLogger,
    })
    const calls = Array.from({ length: 1 + random.int(3) }, () => calling.call(PEER, RPC.Cluster.ID, {}))
    const settled = Promise.allSettled(calls)
    if (random.int(2) === 0) await nextTurn()
    await sendInPieces(far, input, random)
    if (random.int(8) === 0) far.abort(new Error('the server resets'))
    else if (far.status === 'open') await far.close()
    const results = await settled
    near.abort(new Error('done'))
    far.abort(new Error('done'))
    for (const result of results) {
      if (result.status === 'rejected' && !(result.reason instanceof RpcError)) throw result.reason
    }
    const [first] = results
    if (first?.status === 'rejected') throw first.reason
    return true
  },
}

export const muxTargets: readonly Target[] = [
  frames,
  ...[server, client].map(target => ({ ...target, share: 0.1 })),
]
