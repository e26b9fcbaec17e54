/**
 * `node packages/bitswap/src/bitswap.bench.ts`: two hosts over loopback TCP, Noise and Yamux, each on its own thread.
 * Prints one line of JSON per figure.
 */
import { once } from 'node:events'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { multiaddr } from '@multiformats/multiaddr'
import { createNode, testBlocks, type TestBlock } from './test-hosts.ts'

const ROUNDS = 3

/** What the serving thread holds: number of blocks and bytes of each. */
const SETS = {
  chain: { count: 5_000, bytes: 300 },
  wide: { count: 20_000, bytes: 250 },
  bulk: { count: 1_200, bytes: 256 * 1024 },
} as const

type SetName = keyof typeof SETS

const blocksOf = (name: SetName) => testBlocks(SETS[name].count, SETS[name].bytes)

async function serve(): Promise<void> {
  const node = await createNode()
  for (const name of Object.keys(SETS) as SetName[]) node.blocks.put(...(await blocksOf(name)))
  parentPort?.postMessage(node.host.getMultiaddrs().map(String), [])
}

async function measure(name: string, unit: string, amount: number, run: () => Promise<void>): Promise<void> {
  const rates: number[] = []
  const cpu = process.cpuUsage()
  const start = performance.now()
  for (let i = 0; i < ROUNDS; i++) {
    const began = performance.now()
    await run()
    rates.push(amount / ((performance.now() - began) / 1000))
  }
  const { user, system } = process.cpuUsage(cpu)
  const cores = (user + system) / 1000 / (performance.now() - start)
  const [best = 0] = rates.toSorted((a, b) => b - a)
  console.log(
    JSON.stringify({
      name,
      unit,
      best: Math.round(best),
      all: rates.map(Math.round),
      cores: Number(cores.toFixed(2)),
    }),
  )
}

async function main(): Promise<void> {
  const worker = new Worker(new URL(import.meta.url))
  const [addresses] = (await once(worker, 'message')) as [string[]]
  await using node = await createNode()
  const connection = await node.host.dial(addresses.map(address => multiaddr(address)))
  const providers = [connection.remotePeer.toString()]
  const cids = async (name: SetName) => (await blocksOf(name)).map(({ cid }: TestBlock) => cid)

  const chain = await cids('chain')
  await measure('chain, one block after the other', 'blocks/s', chain.length, async () => {
    using session = node.bitswap.session({ providers })
    for (const cid of chain) await session.get(cid)
  })
  const wide = await cids('wide')
  await measure('small blocks, all at once', 'blocks/s', wide.length, async () => {
    using session = node.bitswap.session({ providers })
    await Promise.all(wide.map(cid => session.get(cid)))
  })
  const bulk = await cids('bulk')
  await measure('256 KiB blocks, 64 at once', 'MB/s', (SETS.bulk.count * SETS.bulk.bytes) / 1e6, async () => {
    using session = node.bitswap.session({ providers })
    const rest = bulk.values()
    await Promise.all(
      Array.from({ length: 64 }, async () => {
        for (const cid of rest) await session.get(cid)
      }),
    )
  })
  console.log(JSON.stringify(node.bitswap.stats()))
  await worker.terminate()
}

await (isMainThread ? main() : serve())
