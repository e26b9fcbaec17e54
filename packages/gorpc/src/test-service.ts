/** A service with every kind of method, behind real hosts: for tests only. */
import {
  concatBytes,
  createMeter,
  systemClock,
  toHex,
  type Clock,
  type MeterRegistry,
} from '@ipfs-cluster/base'
import type { Stream } from '@libp2p/interface'
import assert from 'node:assert/strict'
import * as codec from './codec.ts'
import { EMPTY, emptyStruct, encodeObject, omitEmpty, struct } from './codec.ts'
import { receivingHandler, streamingHandler, unaryHandler } from './handler.ts'
import { response, RPC_PROTOCOL, serviceId } from './protocol.ts'
import { RpcError } from './rpc-error.ts'
import { createTestPair } from './test-hosts.ts'
import type { Codec, RpcContext, RpcPolicy, StreamingMethod, UnaryMethod } from './types.ts'

export interface Block {
  readonly data: Uint8Array
  readonly size: number
}
const block = struct<Block>({ data: omitEmpty('d', codec.bytes), size: omitEmpty('s', codec.int) })

function unary<A, R>(
  method: string,
  arg: Codec<A>,
  reply: Codec<R>,
  policy: RpcPolicy = 'trusted',
): UnaryMethod<A, R> {
  return { service: 'Test', method, kind: 'unary', policy, arg, reply }
}
function streaming<A, R>(
  method: string,
  arg: Codec<A>,
  reply: Codec<R>,
  policy: RpcPolicy = 'trusted',
): StreamingMethod<A, R> {
  return { service: 'Test', method, kind: 'streaming', policy, arg, reply }
}

export const ECHO = unary('Echo', block, block)
export const FAIL = unary('Fail', emptyStruct, block)
export const HANG = unary('Hang', emptyStruct, emptyStruct)
/** Does not care whether its caller has gone. */
export const STUBBORN = unary('Stubborn', emptyStruct, emptyStruct)
export const BAD_REPLY = unary('BadReply', emptyStruct, codec.uint)
export const CLOSED = unary('Closed', emptyStruct, emptyStruct, 'closed')
export const UNSERVED = unary('Unserved', emptyStruct, emptyStruct, 'closed')
export const OPEN = unary('Open', codec.bytes, codec.int, 'open')
export const NOT_THERE = unary('NotThere', emptyStruct, emptyStruct)
export const LARGE = unary('Large', codec.int, codec.bytes)
export const COUNT = streaming('Count', codec.int, codec.int)
export const SUM = streaming('Sum', codec.int, codec.int)
export const BLOCKS = streaming('Blocks', block, emptyStruct)
export const ENDLESS = streaming('Endless', emptyStruct, block)
export const OPEN_STREAM = streaming('OpenStream', codec.bytes, codec.int, 'open')
export const EARLY = streaming('Early', codec.int, codec.int)
export const BROKEN = streaming('Broken', emptyStruct, codec.int)

/** What the server side saw. */
export interface Seen {
  readonly peers: string[]
  bytes: number
  sent: number
  cancelled: PromiseWithResolvers<unknown>
  entered: PromiseWithResolvers<void>
  /** Lets `Stubborn` go on. */
  readonly release: PromiseWithResolvers<void>
  released: boolean
}

export function newSeen(): Seen {
  return {
    peers: [],
    bytes: 0,
    sent: 0,
    cancelled: Promise.withResolvers(),
    entered: Promise.withResolvers(),
    release: Promise.withResolvers(),
    released: false,
  }
}

async function untilAborted({ signal }: RpcContext): Promise<never> {
  return await new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason))
  })
}

export function handlers(seen: Seen) {
  return [
    unaryHandler(ECHO, async (arg, { peer }) => {
      seen.peers.push(peer)
      return arg
    }),
    unaryHandler(FAIL, async () => {
      throw new Error('crdt consensus component cannot remove peers')
    }),
    unaryHandler(HANG, async (_, context) => {
      seen.entered.resolve()
      try {
        return await untilAborted(context)
      } catch (error) {
        seen.cancelled.resolve(error)
        throw error
      }
    }),
    unaryHandler(STUBBORN, async () => {
      seen.entered.resolve()
      await seen.release.promise
      seen.released = true
      return EMPTY
    }),
    unaryHandler(BAD_REPLY, async () => -1),
    unaryHandler(CLOSED, async () => EMPTY),
    unaryHandler(OPEN, async arg => arg.length),
    unaryHandler(LARGE, async size => new Uint8Array(size)),
    streamingHandler(OPEN_STREAM, async function* (args) {
      for await (const arg of args) yield arg.length
    }),
    streamingHandler(COUNT, async function* (limits) {
      for await (const limit of limits) for (let i = 0; i < limit; i++) yield i
    }),
    streamingHandler(SUM, async function* (numbers) {
      let sum = 0
      for await (const number of numbers) yield (sum += number)
    }),
    receivingHandler(BLOCKS, async blocks => {
      for await (const { data } of blocks) {
        seen.bytes += data.length
        if (data.length === 1) throw new Error('a bad block')
      }
    }),
    streamingHandler(ENDLESS, async function* () {
      try {
        const data = new Uint8Array(64 * 1024)
        while (true) {
          seen.sent++
          yield { data, size: seen.sent }
        }
      } finally {
        seen.cancelled.resolve(undefined)
      }
    }),
    streamingHandler(EARLY, async function* () {
      yield 1
    }),
    streamingHandler(BROKEN, async function* () {
      yield 1
      yield 2
      throw new Error('no more')
    }),
  ]
}

export async function createPair(
  options: {
    timeoutMs?: number
    clock?: Clock
    maxCallsPerPeer?: number
    maxRequestBytesPerPeer?: number
    withWire?: boolean
    protocol?: string
  } = {},
) {
  const seen = newSeen()
  const { clock = systemClock, maxCallsPerPeer = 512, timeoutMs = 15_000 } = options
  const [meters, protocol] = [
    { client: createMeter(), server: createMeter() },
    options.protocol ?? RPC_PROTOCOL,
  ]
  const pair = await createTestPair(
    {
      handlers: handlers(seen),
      unserved: [UNSERVED],
      authorize: (_, { policy }) => policy !== 'closed',
      clock,
      maxCallsPerPeer,
      ...(options.maxRequestBytesPerPeer === undefined
        ? {}
        : { maxRequestBytesPerPeer: options.maxRequestBytesPerPeer }),
      meter: meters.server,
    },
    { timeoutMs, clock, meter: meters.client },
    { withWire: options.withWire ?? false, protocol },
  )
  return Object.assign(pair, {
    seen,
    meters,
    /** What the server has refused, by reason. */
    refused: () => samples(meters.server, 'ipfscluster_refused_total', 'reason'),
    /** What the client has refused, by reason. */
    refusedByClient: () => samples(meters.client, 'ipfscluster_refused_total', 'reason'),
    calls: () => ({
      in: samples(meters.server, 'ipfscluster_rpc_calls_total', 'protocol'),
      out: samples(meters.client, 'ipfscluster_rpc_calls_total', 'protocol'),
    }),
  })
}

function samples(meter: MeterRegistry, name: string, label: string): Record<string, number> {
  const metric = meter.collect().find(metric => metric.name === name)
  return Object.fromEntries((metric?.samples ?? []).map(({ labels, value }) => [labels[label], value]))
}

export const fails = (code: string, message: string | RegExp) => (error: unknown) => {
  assert.ok(error instanceof RpcError, String(error))
  assert.equal(error.code, code, error.message)
  if (typeof message === 'string') assert.equal(error.message, message)
  else assert.match(error.message, message)
  return true
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = []
  for await (const item of items) out.push(item)
  return out
}

/** Everything a stream brings until its end. */
export async function drain(stream: Stream): Promise<string> {
  const parts: Uint8Array[] = []
  for await (const part of stream) parts.push(part.subarray())
  return toHex(concatBytes(parts))
}

export const header = (method: string) => encodeObject(serviceId, { service: 'Test', method })
export const errorBytes = (method: string, error: string, errorType: number) =>
  toHex(encodeObject(response, { service: { service: 'Test', method }, error, errorType }))

/** Time in which these limits, and no others, come after a moment. */
export function hasty(...limitsMs: readonly number[]): Clock {
  return {
    ...systemClock,
    sleep: (ms, options) => systemClock.sleep(limitsMs.includes(ms) ? 30 : ms, options),
  }
}

/** Waits until the condition holds; the test's own limit ends it otherwise. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await systemClock.sleep(2)
}
