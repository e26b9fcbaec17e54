/**
 * What a fresh replica makes of a DAG whose nodes are delivered at once, so that the walk itself is measured:
 * `node packages/crdt/src/walk.bench.ts [memory|level]`.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createMemoryStore,
  silentLogger,
  type JournaledStore,
  systemClock,
  systemRandom,
  toHex,
} from '@ipfs-cluster/base'
import { openLevelStore } from '@ipfs-cluster/base/level-store'
import { createCrdt, defaultCrdtConfig } from './crdt.ts'
import { encodeBroadcast } from './delta.ts'
import { createNode, type CrdtNode } from './node.ts'
import type { CrdtMessage } from './types.ts'

const VALUE_BYTES = 80
const ROUNDS = 5
const STORES = process.argv[2] === undefined ? ['memory', 'level'] : [process.argv[2]]

for (const kind of STORES) {
  await walk(kind, 'chain of 5,000 nodes, 1 op each', chain(5_000, 1))
  await walk(kind, 'chain of 100 nodes, 500 ops each', chain(100, 500))
  await walk(kind, '20,000 nodes, 1 op, links 16 back', chain(20_000, 1, 16))
}

function chain(length: number, opsPerNode: number, skip?: number): CrdtNode[] {
  const nodes: CrdtNode[] = []
  for (let i = 0; i < length; i++) {
    const elements = Array.from({ length: opsPerNode }, (_, n) => element(i * opsPerNode + n))
    const back = skip !== undefined && i % skip === 0 ? nodes[i - skip] : undefined
    const links = [nodes.at(-1), back].filter(node => node !== undefined)
    nodes.push(createNode({ elements, tombstones: [], priority: i + 1 }, links))
  }
  return nodes
}

function element(n: number) {
  const name = (n * 2_654_435_761).toString(32).toUpperCase().padStart(58, 'A')
  return { key: `/${name}`, id: '', value: new Uint8Array(VALUE_BYTES).fill(n) }
}

async function walk(kind: string, what: string, nodes: readonly CrdtNode[]): Promise<void> {
  const blocks = new Map(nodes.map(({ id, data }) => [id, data]))
  const head = nodes.at(-1)
  if (head === undefined) return
  let best = Number.POSITIVE_INFINITY
  let cpu = Number.POSITIVE_INFINITY
  for (let round = 0; round < ROUNDS; round++) {
    const folder = await mkdtemp(join(tmpdir(), 'crdt-walk-'))
    try {
      await using stack = new AsyncDisposableStack()
      const store: JournaledStore =
        kind === 'level' ? stack.use(await openLevelStore(folder)) : createMemoryStore()
      let receive: ((message: CrdtMessage) => void) | undefined
      const crdt = stack.use(
        await createCrdt(
          {
            store,
            blocks: {
              get: cid => Promise.resolve(blocks.get(toHex(cid.multihash.digest)) ?? new Uint8Array(0)),
              notify: () => undefined,
            },
            broadcast: {
              publish: () => Promise.resolve(),
              subscribe: handler => {
                receive = handler
                return { [Symbol.dispose]: () => undefined }
              },
            },
            clock: systemClock,
            random: systemRandom,
            logger: silentLogger,
          },
          defaultCrdtConfig,
        ),
      )
      const start = performance.now()
      const cpuStart = process.cpuUsage()
      receive?.({ data: encodeBroadcast([head.cid]), from: 'a', forwarder: 'a' })
      while (crdt.stats().nodesMerged < nodes.length) await systemClock.sleep(1)
      best = Math.min(best, performance.now() - start)
      const { user, system } = process.cpuUsage(cpuStart)
      cpu = Math.min(cpu, user + system)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }
  const ops = nodes.reduce((sum, { delta }) => sum + delta.elements.length, 0)
  const rate = (count: number) => Math.round((count / best) * 1000).toLocaleString('en')
  // Time of the processor tells more than the clock's when others use the machine too.
  const perNode = Math.round(cpu / nodes.length)
  console.log(
    `${kind.padEnd(7)} ${what.padEnd(36)} ${rate(nodes.length)} nodes/s, ${rate(ops)} ops/s, ${perNode} µs of CPU a node`,
  )
}
