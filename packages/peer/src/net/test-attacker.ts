import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { RPC } from '@libp2p/gossipsub/message'
import { identify } from '@libp2p/identify'
import type { Connection, Libp2p, PrivateKey, Stream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { concatBytes, silentLogger, type MeterRegistry } from '@ipfs-cluster/base'
import { connectionProtector } from './private-network.ts'
import { addressOf, TEST_SECRET } from './test-network.ts'
import type { Network } from './types.ts'
import { createLibp2p } from 'libp2p'

/** A libp2p host with the secret of the tests and none of our manners, for tests of this room. */
export async function createAttacker(
  options: { readonly privateKey?: PrivateKey; readonly identifies?: boolean } = {},
): Promise<Attacker> {
  const { privateKey, identifies = true } = options
  const protector = connectionProtector(TEST_SECRET, silentLogger)
  const libp2p = await createLibp2p({
    ...(privateKey && { privateKey }),
    addresses: { listen: [] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ maxOutboundStreams: 100_000, maxInboundStreams: 100_000 })],
    ...(protector && { connectionProtector: protector }),
    connectionMonitor: { enabled: false },
    ...(identifies ? { services: { identify: identify() } } : {}),
  })
  return { libp2p, [Symbol.asyncDispose]: async () => await libp2p.stop() }
}

export interface Attacker extends AsyncDisposable {
  readonly libp2p: Libp2p
}

export async function dialVictim({ libp2p }: Attacker, victim: Network): Promise<Connection> {
  return await libp2p.dial(multiaddr(addressOf(victim)), { force: true })
}

/** A stream on which no protocol is agreed yet. */
export async function rawStream(connection: Connection): Promise<Stream> {
  const { muxer } = connection as unknown as { readonly muxer: { createStream(): Promise<Stream> } }
  return await muxer.createStream()
}

export async function openGossip(connection: Connection): Promise<Stream> {
  return await connection.newStream('/meshsub/1.2.0')
}

/** Sends RPCs as gossipsub frames them; returns whether there is room for more. */
export function sendRpc(stream: Stream, ...rpcs: readonly Partial<RPC>[]): boolean {
  return rpcs
    .map(rpc => sendFrame(stream, RPC.encode({ subscriptions: [], messages: [], ...rpc })))
    .every(Boolean)
}

export function sendFrame(stream: Stream, frame: Uint8Array): boolean {
  return stream.send(concatBytes([Uint8Array.from(varint(frame.length)), frame]))
}

/** The frames of a stream, whole, as they come. */
export function readFrames(stream: Stream, onFrame: (frame: Uint8Array) => void): void {
  let buffer: Uint8Array = new Uint8Array()
  stream.addEventListener('message', ({ data }) => {
    buffer = concatBytes([buffer, data.subarray()])
    while (true) {
      const prefix = buffer.findIndex(byte => byte < 128) + 1
      const length = buffer.subarray(0, prefix).reduceRight((sum, byte) => sum * 128 + (byte & 127), 0)
      if (prefix === 0 || buffer.length < prefix + length) return
      onFrame(buffer.slice(prefix, prefix + length))
      buffer = buffer.slice(prefix + length)
    }
  })
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)]
}

/** A TCP connection to the victim, from another loopback address than everybody else's. */
export async function rawSocket(
  victim: Network,
  bytes: Uint8Array = new Uint8Array(),
  localAddress = '127.0.0.2',
): Promise<Socket> {
  const port = Number(/\/tcp\/(\d+)/.exec(addressOf(victim))?.[1])
  const socket = connect({ host: '127.0.0.1', port, localAddress })
  // Refused connections end in a reset.
  socket.on('error', () => undefined)
  socket.resume()
  await once(socket, 'connect')
  if (bytes.length > 0) socket.write(bytes)
  return socket
}

/** How often something was refused for this reason. */
export function refused(meter: MeterRegistry, protocol: string, reason: string): number {
  const metric = meter.collect().find(({ name }) => name === 'ipfscluster_refused_total')
  const series = metric?.samples.find(
    ({ labels }) => labels['protocol'] === protocol && labels['reason'] === reason,
  )
  return series?.value ?? 0
}

export function gaugeOf(meter: MeterRegistry, name: string, direction?: string): number {
  const metric = meter.collect().find(one => one.name === name)
  return metric?.samples.find(({ labels }) => labels['direction'] === direction)?.value ?? Number.NaN
}
