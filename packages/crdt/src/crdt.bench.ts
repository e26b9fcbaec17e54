/**
 * Commit throughput, scanning and walking over a real store in a temporary folder: `node packages/crdt/src/crdt.bench.ts [entries]`.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger, systemClock, systemRandom } from '@ipfs-cluster/base'
import { openLevelStore } from '@ipfs-cluster/base/level-store'
import { createCrdt, defaultCrdtConfig } from './crdt.ts'
import { encodeBroadcast } from './delta.ts'
import type { Crdt, CrdtBlocks, CrdtMessage, CrdtOp } from './types.ts'

const ENTRIES = Number(process.argv[2] ?? 200_000)
const VALUE_BYTES = 80
const ROUND_MS = 2_000

const folder = await mkdtemp(join(tmpdir(), 'crdt-bench-'))
try {
  await using stack = new AsyncDisposableStack()
  const open = async (name: string, get?: CrdtBlocks['get']) => {
    const store = stack.use(await openLevelStore(join(folder, name)))
    const handlers: ((message: CrdtMessage) => void)[] = []
    const crdt = await createCrdt(
      {
        store,
        blocks: { get: get ?? (() => Promise.reject(new Error('nobody else'))), notify: () => undefined },
        broadcast: {
          publish: () => Promise.resolve(),
          subscribe: handler => {
            handlers.push(handler)
            return { [Symbol.dispose]: () => undefined }
          },
        },
        clock: systemClock,
        random: systemRandom,
        logger: silentLogger,
      },
      defaultCrdtConfig,
    )
    stack.use(crdt)
    return { crdt, receive: (data: Uint8Array) => handlers.forEach(handle => handle({ data, from: 'a' })) }
  }

  const { crdt } = await open('a')
  for (const writers of [1, 32, 256]) {
    report(`commit, ${writers} at once`, await commitFor(crdt, writers), 'ops')
  }
  const nodes = crdt.stats().heads[0]?.height ?? 0

  const follower = await open(
    'b',
    async cid => (await crdt.block(cid)) ?? Promise.reject(new Error('missing')),
  )
  const walked = await timed(async () => {
    follower.receive(encodeBroadcast(crdt.stats().heads.map(({ cid }) => cid)))
    while (follower.crdt.stats().nodesMerged < nodes) await systemClock.sleep(5)
    return nodes
  })
  report('chain walked and merged', walked, 'nodes')

  const big = await open('c')
  const filled = await timed(async () => {
    for (let at = 0; at < ENTRIES; at += 10_000) {
      await big.crdt.commit(Array.from({ length: 10_000 }, (_, i) => put(at + i)))
    }
    return ENTRIES
  })
  report('bulk commit, 10 000 ops each', filled, 'ops')
  // More than once: the engine is still sorting what was just written.
  for (let round = 0; round < 4; round++) {
    const scanned = await timed(async () => {
      let count = 0
      for await (const _ of big.crdt.entries()) count++
      return count
    })
    report(`scan of ${ENTRIES}`, scanned, 'entries')
  }
  report(
    'get, 64 at once',
    await timed(async () => {
      const lane = async (n: number) => {
        for (let i = 0; i < 500; i++) await big.crdt.get(put((i * 64 + n) * 3).key)
      }
      await Promise.all(Array.from({ length: 64 }, (_, n) => lane(n)))
      return 64 * 500
    }),
    'gets',
  )
} finally {
  await rm(folder, { recursive: true, force: true })
}

function put(n: number): CrdtOp {
  const name = (n * 2_654_435_761).toString(32).toUpperCase().padStart(58, 'A')
  return { type: 'put', key: `/${name}`, value: new Uint8Array(VALUE_BYTES).fill(n) }
}

async function commitFor(crdt: Crdt, writers: number) {
  const end = performance.now() + ROUND_MS
  let next = 0
  return await timed(async () => {
    const write = async () => {
      while (performance.now() < end) await crdt.commit([put(writers * 1e7 + next++)])
    }
    await Promise.all(Array.from({ length: writers }, write))
    return next
  })
}

async function timed(work: () => Promise<number>) {
  const start = performance.now()
  const count = await work()
  return { count, seconds: (performance.now() - start) / 1000 }
}

function report(what: string, { count, seconds }: { count: number; seconds: number }, unit: string): void {
  console.log(`${what.padEnd(32)} ${Math.round(count / seconds).toLocaleString('en')} ${unit}/s`)
}
