/**
 * How fast calls are between two hosts of one process on loopback (tcp, noise, yamux): both sides share one thread, so two processes
 * do better. Run with `node packages/gorpc/src/rpc.bench.ts`.
 */
import * as codec from './codec.ts'
import { field, omitEmpty, struct } from './codec.ts'
import { receivingHandler, streamingHandler, unaryHandler } from './handler.ts'
import { createTestPair } from './test-hosts.ts'
import type { StreamingMethod, UnaryMethod } from './types.ts'

const CALLS = 4000
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

await using pair = await createTestPair({
  handlers: [
    unaryHandler(GET, async () => sample),
    streamingHandler(ALL, async function* (counts) {
      for await (const count of counts) for (let i = 0; i < count; i++) yield sample
    }),
    receivingHandler(PUT, async blocks => {
      for await (const block of blocks) if (block.length !== MIB) throw new Error('not a block of 1 MiB')
    }),
  ],
})
const { client, serverId } = pair

async function measure(name: string, count: number, unit: string, work: () => Promise<void>): Promise<void> {
  await work()
  const start = performance.now()
  await work()
  const seconds = (performance.now() - start) / 1000
  console.log(`${name}: ${Math.round(count / seconds)} ${unit}/s`)
}

for (const callers of [1, 32]) {
  await measure(`unary, ${callers} at a time`, CALLS, 'round trips', async () => {
    const caller = async () => {
      for (let i = 0; i < CALLS / callers; i++) await client.call(serverId, GET, sample.cid)
    }
    await Promise.all(Array.from({ length: callers }, caller))
  })
}
await measure('streamed replies of 300 bytes', ITEMS, 'replies', async () => {
  let count = 0
  for await (const { status } of client.stream(serverId, ALL, [ITEMS])) count += status
  if (count !== 16 * ITEMS) throw new Error('replies were lost')
})
const block = new Uint8Array(MIB)
await measure('streamed blocks of 1 MiB', BLOCKS, 'MiB', async () => {
  const blocks = Array.from({ length: BLOCKS }, () => block)
  for await (const reply of client.stream(serverId, PUT, blocks)) throw new Error(`a reply: ${String(reply)}`)
})
