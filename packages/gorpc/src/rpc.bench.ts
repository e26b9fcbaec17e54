/**
 * How fast calls are between two hosts on loopback (tcp, noise, yamux), on both protocols: in two processes, as in life, and in one,
 * where both sides share a thread. Run with `node packages/gorpc/src/rpc.bench.ts`.
 */
import { silentLogger, systemClock } from '@ipfs-cluster/base'
import { multiaddr } from '@multiformats/multiaddr'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createRpcClient } from './client.ts'
import * as codec from './codec.ts'
import { field, omitEmpty, struct } from './codec.ts'
import { receivingHandler, streamingHandler, unaryHandler } from './handler.ts'
import { MUX_PROTOCOL, RPC_PROTOCOL } from './protocol.ts'
import { createRpcServer } from './server.ts'
import { createHost, serveOn, streamsOn } from './test-hosts.ts'
import type { RpcClient, StreamingMethod, UnaryMethod } from './types.ts'

const CALLS = 8000
const ITEMS = 200_000
const BLOCKS = 256
const MIB = 1024 * 1024

/** About what a PinInfo is: 300 bytes. */
interface Info {
  readonly cid: Uint8Array
  readonly name: string
  readonly peer: Uint8Array
  readonly metadata: Readonly<Record<string, string>>
  readonly addresses: readonly Uint8Array[]
  readonly status: number
  readonly when: bigint | null
  readonly error: string
}
const info = struct<Info>({
  cid: field('c', codec.bytes),
  name: omitEmpty('m', codec.string),
  peer: omitEmpty('p', codec.bytes),
  metadata: omitEmpty('md', codec.map(codec.string)),
  addresses: omitEmpty('ia', codec.list(codec.bytes)),
  status: omitEmpty('st', codec.int),
  when: omitEmpty('ts', codec.time),
  error: omitEmpty('e', codec.string),
})
const sample: Info = {
  cid: new Uint8Array(36).fill(1),
  name: 'a pin with a name',
  peer: new Uint8Array(38).fill(2),
  metadata: { a: '1' },
  addresses: [new Uint8Array(49).fill(3), new Uint8Array(49).fill(4)],
  status: 16,
  when: 1_700_000_000_000_000_005n,
  error: '',
}

const common = { service: 'Bench', policy: 'trusted' } as const
const GET: UnaryMethod<Uint8Array, Info> = {
  ...common,
  method: 'Get',
  kind: 'unary',
  arg: codec.bytes,
  reply: info,
}
/** A large reply, to see what it does to small ones. */
const LARGE: UnaryMethod<number, Uint8Array> = {
  ...common,
  method: 'Large',
  kind: 'unary',
  arg: codec.int,
  reply: codec.bytes,
}
const ALL: StreamingMethod<number, Info> = {
  ...common,
  method: 'All',
  kind: 'streaming',
  arg: codec.int,
  reply: info,
}
const PUT: StreamingMethod<Uint8Array, codec.Empty> = {
  ...common,
  method: 'Put',
  kind: 'streaming',
  arg: codec.bytes,
  reply: codec.emptyStruct,
}

/** A host that answers; resolves with its address. */
async function startServer(): Promise<string> {
  const host = await createHost()
  const server = createRpcServer({
    handlers: [
      unaryHandler(GET, async () => sample),
      unaryHandler(LARGE, async size => new Uint8Array(size)),
      streamingHandler(ALL, async function* (counts) {
        for await (const count of counts) for (let i = 0; i < count; i++) yield sample
      }),
      receivingHandler(PUT, async blocks => {
        for await (const block of blocks) if (block.length !== MIB) throw new Error('not a block of 1 MiB')
      }),
    ],
    authorize: () => true,
    clock: systemClock,
    logger: silentLogger,
  })
  await serveOn(host, server)
  return String(host.getMultiaddrs()[0])
}

async function measure(name: string, count: number, unit: string, work: () => Promise<void>): Promise<void> {
  await work()
  const start = performance.now()
  await work()
  const seconds = (performance.now() - start) / 1000
  console.log(`  ${name}: ${Math.round(count / seconds)} ${unit}/s`)
}

async function measureUnary(client: RpcClient, peer: string): Promise<void> {
  for (const callers of [1, 32]) {
    await measure(`unary, ${callers} at a time`, CALLS, 'round trips', async () => {
      const caller = async () => {
        for (let i = 0; i < CALLS / callers; i++) await client.call(peer, GET, sample.cid)
      }
      await Promise.all(Array.from({ length: callers }, caller))
    })
  }
  await measureBesideLarge(client, peer)
}

/** How long small calls take while replies of 8 MiB come one after the other. */
async function measureBesideLarge(client: RpcClient, peer: string): Promise<void> {
  const state = { isOver: false }
  const large = (async () => {
    for (let i = 0; i < 30; i++) await client.call(peer, LARGE, 8 * MIB - 16)
    state.isOver = true
  })()
  const times: number[] = []
  while (!state.isOver) {
    const start = performance.now()
    await client.call(peer, GET, sample.cid)
    times.push(performance.now() - start)
  }
  await large
  times.sort((a, b) => a - b)
  const at = (share: number) => (times[Math.floor(times.length * share)] ?? 0).toFixed(1)
  console.log(
    `  unary beside replies of 8 MiB: median ${at(0.5)} ms, p99 ${at(0.99)} ms, ${times.length} calls`,
  )
}

async function measureStreaming(client: RpcClient, peer: string): Promise<void> {
  await measure('streamed replies of 300 bytes', ITEMS, 'replies', async () => {
    let count = 0
    for await (const { status } of client.stream(peer, ALL, [ITEMS])) count += status
    if (count !== 16 * ITEMS) throw new Error('replies were lost')
  })
  const block = new Uint8Array(MIB)
  await measure('streamed blocks of 1 MiB', BLOCKS, 'MiB', async () => {
    const blocks = Array.from({ length: BLOCKS }, () => block)
    for await (const reply of client.stream(peer, PUT, blocks)) throw new Error(`a reply: ${String(reply)}`)
  })
}

async function measureAll(address: string): Promise<void> {
  const host = await createHost()
  const connection = await host.dial(multiaddr(address))
  for (const protocol of [RPC_PROTOCOL, MUX_PROTOCOL]) {
    console.log(` ${protocol}`)
    await using client = createRpcClient({
      selfId: host.peerId.toString(),
      localHandler: () => undefined,
      ...streamsOn(connection, protocol),
      clock: systemClock,
      logger: silentLogger,
    })
    await measureUnary(client, connection.remotePeer.toString())
    if (protocol === RPC_PROTOCOL) await measureStreaming(client, connection.remotePeer.toString())
  }
  await host.stop()
}

if (process.send !== undefined) {
  process.send(await startServer())
} else {
  console.log('two processes')
  const server = fork(import.meta.filename)
  const [address] = (await once(server, 'message')) as [string]
  await measureAll(address)
  server.kill()
  console.log('one process')
  await measureAll(await startServer())
  process.exit()
}
