/** Real libp2p hosts on loopback for the tests and the benchmark of this package. */
import { createMeter, silentLogger, systemClock } from '@ipfs-cluster/base'
import { noise } from '@libp2p/noise'
import type { Libp2p } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import type { MultihashHasher } from 'multiformats/hashes/interface'
import { sha256 } from 'multiformats/hashes/sha2'
import { createBitswap, type Bitswap, type BitswapBlocks, type BitswapConfig } from './index.ts'

export interface TestBlock {
  readonly cid: CID
  readonly data: Uint8Array
}

/** `size` bytes that differ for each `seed`. */
export async function testBlock(seed: number, size = 200): Promise<TestBlock> {
  const data = new Uint8Array(size).fill(seed & 0xff)
  new DataView(data.buffer).setUint32(0, seed)
  return { cid: CID.createV1(raw.code, await sha256.digest(data)), data }
}

export async function testBlocks(count: number, size?: number): Promise<TestBlock[]> {
  return await Promise.all(Array.from({ length: count }, (_, i) => testBlock(i, size)))
}

/** Blocks by multihash. */
export class MemoryBlocks implements BitswapBlocks {
  readonly #blocks = new Map<string, Uint8Array>()

  put(...blocks: readonly TestBlock[]): this {
    for (const { cid, data } of blocks) this.#blocks.set(keyOf(cid), data)
    return this
  }

  get(cid: CID): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.#blocks.get(keyOf(cid)))
  }

  size(cid: CID): Promise<number | undefined> {
    return Promise.resolve(this.#blocks.get(keyOf(cid))?.length)
  }
}

function keyOf(cid: CID): string {
  return Buffer.from(cid.multihash.bytes).toString('latin1')
}

export async function createHost(): Promise<Libp2p> {
  return await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ maxInboundStreams: 4096, maxOutboundStreams: 4096 })],
    connectionMonitor: { enabled: false },
  })
}

export interface TestNode extends AsyncDisposable {
  readonly host: Libp2p
  readonly id: string
  readonly blocks: MemoryBlocks
  readonly bitswap: Bitswap
  /** How often something was refused for that reason. */
  refused(reason: string): number
  connect(other: { readonly host: Libp2p }): Promise<void>
}

export async function createNode(
  config: Partial<BitswapConfig> = {},
  blocks = new MemoryBlocks(),
  hashers: readonly MultihashHasher[] = [],
): Promise<TestNode> {
  const host = await createHost()
  const meter = createMeter()
  const components = { libp2p: host, blocks, clock: systemClock, logger: silentLogger, hashers, meter }
  const bitswap = await createBitswap(components, config).catch(async (error: unknown) => {
    await host.stop()
    throw error
  })
  return {
    host,
    id: host.peerId.toString(),
    blocks,
    bitswap,
    refused: reason =>
      meter
        .collect()
        .flatMap(({ samples }) => samples)
        .find(({ labels }) => labels['reason'] === reason)?.value ?? 0,
    async connect(other) {
      await host.dial(other.host.getMultiaddrs())
      await until(() => other.host.getConnections(host.peerId).length > 0, 'the other side knows')
    },
    async [Symbol.asyncDispose]() {
      await bitswap[Symbol.asyncDispose]()
      await host.stop()
    },
  }
}

/** Waits for a condition of the outside world. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = systemClock.monotonic() + 10_000
  while (!condition()) {
    if (systemClock.monotonic() > deadline) throw new Error(`waited in vain: ${what}`)
    await systemClock.sleep(1)
  }
}
