/** For the tests of this package: a clock to turn, and a network of replicas to cut and to crash. */
import { createHash } from 'node:crypto'
import {
  type AbortOptions,
  type Clock,
  createMemoryStore,
  type Logger,
  type Meter,
  type Random,
  seededRandom,
  silentLogger,
  type JournaledStore,
  type StoreOp,
  toHex,
  utf8,
  utf8Text,
} from '@ipfs-cluster/base'
import * as dagPb from '@ipld/dag-pb'
import type { CID } from 'multiformats/cid'
import { createCrdt, defaultCrdtConfig } from './crdt.ts'
import type { MergeNode } from './merge.ts'
import { blockIdText, linkOfDigest, type NodeLink } from './node.ts'
import type {
  Crdt,
  CrdtBlocks,
  CrdtBroadcast,
  CrdtConfig,
  CrdtMessage,
  CrdtOp,
  CrdtProjection,
} from './types.ts'

export const put = (key: string, value: string): CrdtOp => ({ type: 'put', key, value: utf8(value) })
export const drop = (key: string): CrdtOp => ({ type: 'delete', key })

export function text(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : utf8Text(bytes)
}

/** Keys and values as text. */
export async function content(
  crdt: Crdt,
  ...args: Parameters<Crdt['entries']>
): Promise<Record<string, string>> {
  const entries: Record<string, string> = {}
  for await (const [key, value] of crdt.entries(...args)) entries[key] = utf8Text(value)
  return entries
}

/** The rules of wire.md 3.5 over the set of all deltas, without any state. */
export function model(nodes: readonly MergeNode[]): Record<string, string> {
  const dead = new Set(nodes.flatMap(({ delta }) => delta.tombstones.map(({ key, id }) => `${key} ${id}`)))
  const best = new Map<string, { priority: number; value: string }>()
  for (const { digest, delta } of nodes) {
    const values = new Map(delta.elements.map(({ key, value }) => [key, toHex(value)]))
    for (const [key, value] of values) {
      if (dead.has(`${key} ${blockIdText(digest)}`)) continue
      const current = best.get(key)
      const wins =
        current === undefined ||
        delta.priority > current.priority ||
        (delta.priority === current.priority && value > current.value)
      if (wins) best.set(key, { priority: delta.priority, value })
    }
  }
  return Object.fromEntries([...best].map(([key, { value }]) => [key, value]).sort())
}

/** A node whose delta is `bytes`, whatever they are. */
export function nodeOf(
  bytes: Uint8Array,
  links: readonly NodeLink[] = [],
): NodeLink & { readonly data: Uint8Array } {
  const data = dagPb.encode({
    Links: links.map(({ cid }) => ({ Hash: cid, Name: '', Tsize: 0 })),
    Data: bytes,
  })
  return { ...linkOfData(data), data }
}

/** The name of `data`. */
export function linkOfData(data: Uint8Array): NodeLink {
  return linkOfDigest(new Uint8Array(createHash('sha256').update(data).digest()))
}

interface Timer {
  readonly at: number
  readonly fire: () => void
}

/** Stands still until `advance` is called. */
export class ManualClock implements Clock {
  #now = 1_700_000_000_000
  #timers: Timer[] = []

  now(): number {
    return this.#now
  }

  nowNs(): bigint {
    return BigInt(this.#now) * 1_000_000n
  }

  monotonic(): number {
    return this.#now
  }

  sleep(ms: number, { signal }: AbortOptions = {}): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    signal?.throwIfAborted()
    signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    this.#timers.push({ at: this.#now + ms, fire: resolve })
    return promise
  }

  timeout(ms: number): AbortSignal {
    const controller = new AbortController()
    const fire = () => controller.abort(new DOMException('timed out', 'TimeoutError'))
    this.#timers.push({ at: this.#now + ms, fire })
    return controller.signal
  }

  /** Moves on by `ms`, firing what is due in order. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    while (true) {
      const next = this.#timers.reduce<Timer | undefined>(
        (first, timer) => (timer.at <= end && (first === undefined || timer.at < first.at) ? timer : first),
        undefined,
      )
      if (next === undefined) break
      this.#timers.splice(this.#timers.indexOf(next), 1)
      this.#now = next.at
      next.fire()
      await settle()
    }
    this.#now = end
  }
}

/** Lets everything run that waits for neither time nor outside events. */
export async function settle(turns = 20): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise(resolve => setImmediate(resolve))
}

export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  turns = 2000,
): Promise<void> {
  for (let i = 0; i < turns; i++) {
    if (await condition()) return
    await new Promise(resolve => setImmediate(resolve))
  }
  throw new Error(`did not happen: ${what}`)
}

/** A store that counts batches, and that a crash cuts off: nothing is written any more, whoever still tries. */
export interface CrashableStore extends JournaledStore {
  readonly batches: readonly (readonly StoreOp[])[]
  /** The surviving content, to be opened anew. Later batches of this handle fail. */
  crash(): CrashableStore
  /** Fails the next batch. */
  failNext(): void
}

export function createCrashableStore(inner: JournaledStore = createMemoryStore()): CrashableStore {
  const batches: (readonly StoreOp[])[] = []
  let dead = false
  let failing = false
  return {
    ...inner,
    batches,
    journal: {
      get left() {
        return inner.journal.left
      },
      async append(payload, options) {
        await new Promise(resolve => setImmediate(resolve))
        if (dead) throw new Error('crashed')
        return await inner.journal.append(payload, options)
      },
      release: number => inner.journal.release(number),
    },
    async batch(ops, options) {
      // A real engine never answers in the same turn.
      await new Promise(resolve => setImmediate(resolve))
      if (dead) throw new Error('crashed')
      if (failing) {
        failing = false
        throw new Error('no space left on device')
      }
      batches.push(ops)
      await inner.batch(ops, options)
    },
    crash() {
      dead = true
      return createCrashableStore(inner)
    },
    failNext() {
      failing = true
    },
  }
}

export interface Replica {
  readonly name: string
  crdt: Crdt
  store: CrashableStore
  /** Announcements not delivered yet. */
  readonly inbox: CrdtMessage[]
  readonly published: Uint8Array[]
  handler: ((message: CrdtMessage) => void) | undefined
  onPeer: (() => void) | undefined
}

/** Replicas that hear each other's announcements when `deliver` says so, and fetch from each other where `reachable`. */
export class TestNetwork {
  readonly clock = new ManualClock()
  readonly replicas: Replica[] = []
  readonly random: Random
  readonly #logger: Logger
  /** Says whether `to` can fetch from `from`. */
  reachable: (to: Replica, from: Replica) => boolean = () => true
  fetches = 0
  /** Publishing fails. */
  mute = false

  constructor(seed = 1, logger: Logger = silentLogger) {
    this.random = seededRandom(seed)
    this.#logger = logger
  }

  async add(
    config: Partial<CrdtConfig> = {},
    options: { store?: CrashableStore; projection?: CrdtProjection; meter?: Meter } = {},
  ): Promise<Replica> {
    const replica: Replica = {
      name: `peer-${this.replicas.length}`,
      store: options.store ?? createCrashableStore(),
      inbox: [],
      published: [],
      handler: undefined,
      onPeer: undefined,
      crdt: undefined as unknown as Crdt,
    }
    this.replicas.push(replica)
    replica.crdt = await this.open(replica, config, options.projection, options.meter)
    return replica
  }

  /** A new process over the replica's store. */
  open(
    replica: Replica,
    config: Partial<CrdtConfig> = {},
    projection?: CrdtProjection,
    meter?: Meter,
  ): Promise<Crdt> {
    return createCrdt(
      {
        store: replica.store,
        blocks: this.#blocks(replica),
        broadcast: this.#broadcast(replica),
        clock: this.clock,
        random: this.random,
        logger: this.#logger,
        projection,
        meter,
      },
      { ...defaultCrdtConfig, ...config },
    )
  }

  /** Delivers one waiting announcement, if there is one. */
  deliver(replica: Replica, index = 0): void {
    const [message] = replica.inbox.splice(index, 1)
    if (message !== undefined) replica.handler?.(message)
  }

  async close(): Promise<void> {
    for (const { crdt } of this.replicas) await crdt[Symbol.asyncDispose]()
  }

  #blocks(replica: Replica): CrdtBlocks {
    return {
      get: async (cid, { signal } = {}) => {
        this.fetches++
        const found = await this.#find(replica, cid)
        if (found !== undefined) return found
        // As bitswap does: wait until somebody delivers or the deadline passes.
        return await new Promise((_, reject) => {
          signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
          if (signal?.aborted === true) reject(signal.reason as Error)
        })
      },
      notify: () => undefined,
    }
  }

  async #find(replica: Replica, cid: CID): Promise<Uint8Array | undefined> {
    for (const other of this.replicas) {
      if (other === replica || !this.reachable(replica, other)) continue
      const data = await other.crdt.block(cid)
      if (data !== undefined) return data
    }
    return undefined
  }

  #broadcast(replica: Replica): CrdtBroadcast {
    return {
      publish: data => {
        if (this.mute) return Promise.reject(new Error('no peer listens'))
        replica.published.push(data)
        for (const other of this.replicas) {
          const from = { data, from: replica.name }
          other.inbox.push(other === replica ? from : { ...from, forwarder: replica.name })
        }
        return Promise.resolve()
      },
      subscribe: (handler, onPeer) => {
        replica.handler = handler
        replica.onPeer = onPeer
        return {
          [Symbol.dispose]: () => {
            if (replica.handler === handler) replica.handler = undefined
          },
        }
      },
    }
  }
}
