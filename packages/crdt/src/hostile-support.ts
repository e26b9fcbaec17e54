/** For the tests: a real replica, over a real store and clock, among neighbours that say and deliver whatever they like. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createMeter,
  raceSignal,
  silentLogger,
  type JournaledStore,
  type Store,
  systemClock,
  systemRandom,
  toHex,
  utf8,
  type Logger,
} from '@ipfs-cluster/base'
import { openLevelStore } from '@ipfs-cluster/base/level-store'
import type { CID } from 'multiformats/cid'
import { createCrdt, defaultCrdtConfig } from './crdt.ts'
import { encodeBroadcast, type Delta } from './delta.ts'
import { createNode, type CrdtNode, type NodeId, type NodeLink } from './node.ts'
import type { Crdt, CrdtMessage } from './types.ts'

export interface Victim extends AsyncDisposable {
  crdt: Crdt
  readonly store: Store
  /** What neighbours deliver, by id. What is not here never comes. */
  readonly deliverable: Map<NodeId, Uint8Array>
  /** Fetches under way, and all so far. */
  readonly fetches: { running: number; most: number; all: number }
  /** Bytes of all batches written. */
  written: number
  /** What was logged as an error. */
  readonly errors: string[]
  /** `author` announces `heads`. */
  say(author: string, heads: readonly CID[]): void
  sayBytes(author: string, data: Uint8Array): void
  /** How often something was refused for that reason. */
  refused(reason: string): number
  metric(name: string): number
  /** A new process over the same store. */
  restart(): Promise<void>
}

export async function openVictim(): Promise<Victim> {
  const folder = await mkdtemp(join(tmpdir(), 'crdt-hostile-'))
  const level = await openLevelStore(folder)
  const meter = createMeter()
  let handler: ((message: CrdtMessage) => void) | undefined
  const store: JournaledStore = {
    ...level,
    batch(ops, options) {
      for (const op of ops) victim.written += op.key.length + (op.type === 'put' ? op.value.length : 0)
      return level.batch(ops, options)
    },
  }
  const logger: Logger = {
    ...silentLogger,
    error: (first: unknown, message?: string) => void victim.errors.push(message ?? String(first)),
  }
  const open = () =>
    createCrdt(
      {
        store,
        blocks: {
          async get(cid, { signal }) {
            victim.fetches.all++
            victim.fetches.running++
            victim.fetches.most = Math.max(victim.fetches.most, victim.fetches.running)
            try {
              const data = victim.deliverable.get(toHex(cid.multihash.digest))
              return data ?? (await raceSignal(new Promise<never>(() => undefined), signal))
            } finally {
              victim.fetches.running--
            }
          },
          notify: () => undefined,
        },
        broadcast: {
          publish: () => Promise.resolve(),
          subscribe: receive => {
            handler = receive
            return { [Symbol.dispose]: () => (handler = undefined) }
          },
        },
        clock: systemClock,
        random: systemRandom,
        logger,
        meter,
      },
      defaultCrdtConfig,
    )
  const samples = (name: string) => meter.collect().find(metric => metric.name === name)?.samples ?? []
  const victim: Victim = {
    crdt: undefined as unknown as Crdt,
    store,
    deliverable: new Map(),
    fetches: { running: 0, most: 0, all: 0 },
    written: 0,
    errors: [],
    say: (author, heads) => victim.sayBytes(author, encodeBroadcast(heads)),
    sayBytes: (author, data) => handler?.({ data, from: author, forwarder: 'forwarder' }),
    refused: reason =>
      samples('ipfscluster_refused_total').find(({ labels }) => labels['reason'] === reason)?.value ?? 0,
    metric: name => samples(name).reduce((sum, { value }) => sum + value, 0),
    async restart() {
      await victim.crdt[Symbol.asyncDispose]()
      victim.crdt = await open()
    },
    async [Symbol.asyncDispose]() {
      await victim.crdt[Symbol.asyncDispose]()
      await level[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
  victim.crdt = await open()
  return victim
}

/** Waits for `condition`; fails after `seconds` of real time. */
export async function soon(
  condition: () => boolean | Promise<boolean>,
  what: string,
  seconds = 8,
): Promise<void> {
  const end = performance.now() + seconds * 1000
  while (!(await condition())) {
    if (performance.now() > end) assert.fail(`not within ${seconds} s: ${what}`)
    await systemClock.sleep(2)
  }
}

export function element(key: string, value: string) {
  return { key, id: '', value: utf8(value) }
}

export function nodeWith(delta: Partial<Delta>, links: readonly NodeLink[] = []): CrdtNode {
  return createNode({ elements: [], tombstones: [], priority: 1, ...delta }, links)
}

/** An honest author writes a node on top of another, and announces it; fails when that does not arrive soon. */
export async function honestHeadArrives(
  victim: Victim,
  author: string,
  key: string,
  seconds?: number,
): Promise<void> {
  const below = nodeWith({ elements: [element(`/${key}-0`, 'x')] })
  const head = nodeWith({ elements: [element(`/${key}-1`, 'x')], priority: 2 }, [below])
  const nodes = [below, head]
  for (const { id, data } of nodes) victim.deliverable.set(id, data)
  victim.say(author, [head.cid])
  const keys = nodes.map((_, i) => `/${key}-${i}`)
  await soon(
    async () => (await victim.crdt.getMany(keys)).every(value => value !== undefined),
    `the head of ${author}, and what is below it`,
    seconds,
  )
}

/** A local write is durable within `seconds`. */
export async function commitIsFast(victim: Victim, key: string, seconds = 5): Promise<void> {
  const start = performance.now()
  await victim.crdt.commit([{ type: 'put', key, value: utf8('mine') }])
  const took = (performance.now() - start) / 1000
  assert.ok(took < seconds, `a commit took ${took} s`)
}
