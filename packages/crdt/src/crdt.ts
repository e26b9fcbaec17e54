import {
  type AbortOptions,
  type Clock,
  compareBytes,
  createTaskScope,
  type Logger,
  type Meter,
  type Random,
  refusalsOf,
  silentMeter,
  type JournaledStore,
  type StoreRange,
  utf8,
  utf8Text,
} from '@ipfs-cluster/base'
import { Broadcaster } from './broadcaster.ts'
import { sortedHeads } from './heads.ts'
import { Ledger } from './ledger.ts'
import { Merger } from './merger.ts'
import { crdtMetrics } from './metrics.ts'
import { Publisher } from './publisher.ts'
import type {
  Crdt,
  CrdtBlocks,
  CrdtBroadcast,
  CrdtChange,
  CrdtConfig,
  CrdtOp,
  CrdtProjection,
  CrdtSnapshot,
  ReadOptions,
} from './types.ts'
import { Wal } from './wal.ts'
import { Walker } from './walker.ts'

export interface CrdtComponents {
  /** The root store; every row of the CRDT starts with `CRDT_PREFIX`, and the journal is the CRDT's. */
  readonly store: JournaledStore
  readonly blocks: CrdtBlocks
  readonly broadcast: CrdtBroadcast
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** @default none */
  readonly meter?: Meter | undefined
  readonly projection?: CrdtProjection | undefined
  /** Told of the changes of a batch once it is written. Must not throw. */
  readonly onChanges?: ((changes: readonly CrdtChange[]) => void) | undefined
}

export const defaultCrdtConfig: CrdtConfig = {
  rebroadcastIntervalMs: 60_000,
  fetchTimeoutMs: 120_000,
  fetchConcurrency: 64,
  maxDeltaBytes: 1024 * 1024,
  maxCommitOps: 10_000,
}

/**
 * Opens the CRDT in `components.store`: resumes an unfinished walk and turns operations that an earlier process acknowledged into nodes
 * before it resolves.
 *
 * @throws StoreError when the store cannot be read or written, CrdtError `CRDT_STORE_CORRUPT`.
 */
export async function createCrdt(components: CrdtComponents, config: CrdtConfig): Promise<Crdt> {
  const {
    store,
    blocks,
    broadcast,
    clock,
    random,
    logger,
    projection,
    onChanges,
    meter = silentMeter,
  } = components
  const refusals = refusalsOf(meter, 'crdt')
  const { merged, onCommit } = crdtMetrics(meter, clock)
  const ledger = await Ledger.open({ store, blocks, projection, onChanges, merged })
  const wal = await Wal.open(store)
  const scope = createTaskScope(logger)
  const merger = new Merger({
    ledger,
    clock,
    logger,
    scope,
    onMerged: (nodes, { missing, tooMany }) => {
      for (const { cid } of tooMany) {
        refusals.count('too_many_heads')
        logger.debug({ cid }, 'node refused: too many heads')
      }
      walker.merged(nodes, missing)
    },
  })
  const walker = new Walker(
    {
      blocks,
      clock,
      random,
      logger,
      scope,
      refusals,
      statuses: links => ledger.statuses(links),
      wanted: (after, limit) => ledger.wanted(after, limit),
      merger,
      refuse: link => ledger.exclusive(() => ledger.refuse(link), { signal: scope.signal }),
    },
    config,
  )
  const broadcaster = new Broadcaster(
    {
      broadcast,
      clock,
      random,
      logger,
      scope,
      heads: () => ledger.heads,
      onHeads: (heads, providers) => walker.announce(heads, providers),
      refusals,
      messages: meter.counter('ipfscluster_crdt_broadcasts_total', 'Announcements of heads, by direction'),
    },
    config,
  )
  const publisher = new Publisher(
    { ledger, wal, clock, logger, scope, onCommit, announce: head => broadcaster.announce(head) },
    config,
  )
  await publisher.replay()
  broadcaster.start()
  walker.start()
  const gauge = meter.gauge.bind(meter)
  gauge('ipfscluster_crdt_heads', 'Heads of the CRDT', () => ledger.heads.size)
  gauge('ipfscluster_crdt_frontier', 'Nodes known to be missing', () => ledger.frontier + walker.unlinked)
  gauge('ipfscluster_crdt_ops_queued', 'Acknowledged operations in no node yet', () => wal.size)
  let closing: Promise<void> | undefined
  const close = async () => {
    await publisher.close()
    await broadcaster.close()
    await scope[Symbol.asyncDispose]()
    // A writer whose caller was aborted may still be at it.
    await ledger.exclusive(() => Promise.resolve())
  }
  return {
    commit: (ops, options) => publisher.commit(ops, options),
    get: key => get(ledger, wal, key),
    getMany: (keys, options) => getMany(ledger, wal, keys, options),
    entries: (range, options) => entries(ledger, wal, range, options),
    chunks: (range, options) => chunks(ledger, wal, range, options),
    snapshot: () => snapshot(ledger, wal),
    block: cid => ledger.block(cid),
    blockSize: cid => ledger.blockSize(cid),
    stats: () => ({
      heads: sortedHeads(ledger.heads).map(({ cid, height }) => ({ cid, height })),
      frontier: ledger.frontier + walker.unlinked,
      nodesMerged: ledger.merged,
      broadcastsSent: broadcaster.sent,
      broadcastsReceived: broadcaster.received,
      broadcastsRefused: broadcaster.refused,
      opsQueued: wal.size,
      nodesRefused: walker.nodesRefused,
    }),
    [Symbol.asyncDispose]: () => (closing ??= close()),
  }
}

/*
 * Reading sees acknowledged operations that are in no node yet. Go's peer does not (its queue is not readable); here an answer to `commit` means
 * that the value is there.
 */

async function get(ledger: Ledger, wal: Wal, key: string): Promise<Uint8Array | undefined> {
  const op = wal.latest(key)
  return op === undefined ? await ledger.value(key) : valueOf(op)
}

async function getMany(
  ledger: Ledger,
  wal: Wal,
  keys: readonly string[],
  { toChange = false }: ReadOptions = {},
): Promise<(Uint8Array | undefined)[]> {
  if (wal.size === 0) return await ledger.values(keys, toChange)
  const queued = keys.map(key => wal.latest(key))
  const stored = await ledger.values(keys, toChange)
  return queued.map((op, i) => (op === undefined ? stored[i] : valueOf(op)))
}

function entries(
  ledger: Ledger,
  wal: Wal,
  range: StoreRange = {},
  options: AbortOptions = {},
): AsyncIterable<readonly [string, Uint8Array]> {
  return {
    [Symbol.asyncIterator]() {
      // What is queued is looked at before what is stored, so nothing is missed while a batch becomes a node.
      const queued = wal.latestInRange(range)
      const stored = ledger.entries(range, options)
      const all = queued.length === 0 ? stored : overlay(stored, queued, range.reverse === true)
      return (range.limit === undefined ? all : take(all, range.limit))[Symbol.asyncIterator]()
    },
  }
}

async function* chunks(
  ledger: Ledger,
  wal: Wal,
  range: StoreRange = {},
  options: AbortOptions = {},
): AsyncGenerator<readonly (readonly [string, Uint8Array])[]> {
  // As above: before what is stored.
  const queued = wal.latestInRange(range)
  const stored = ledger.chunks(range, options)
  if (queued.length === 0) return yield* stored
  let chunk: (readonly [string, Uint8Array])[] = []
  for await (const entry of overlay(flat(stored), queued, range.reverse === true)) {
    chunk.push(entry)
    if (chunk.length < OVERLAID_CHUNK) continue
    yield chunk
    chunk = []
  }
  if (chunk.length > 0) yield chunk
}

/** Entries of a chunk that had to be merged with what is queued. */
const OVERLAID_CHUNK = 500

async function* flat<T>(chunks: AsyncIterable<readonly T[]>): AsyncGenerator<T> {
  for await (const chunk of chunks) yield* chunk
}

function snapshot(ledger: Ledger, wal: Wal): CrdtSnapshot {
  const queued = wal.latestInRange().map(({ op }) => op)
  const { rows, values, [Symbol.dispose]: dispose } = ledger.snapshot()
  return { queued, rows, getMany: values, [Symbol.dispose]: dispose }
}

async function* take<T>(items: AsyncIterable<T>, limit: number): AsyncGenerator<T> {
  if (limit <= 0) return
  let left = limit
  for await (const item of items) {
    yield item
    if (--left <= 0) return
  }
}

/** Merges the scan with `queued`, which is in the same order and takes precedence. */
async function* overlay(
  stored: AsyncIterable<readonly [string, Uint8Array]>,
  queued: readonly { readonly key: Uint8Array; readonly op: CrdtOp }[],
  reverse: boolean,
): AsyncGenerator<readonly [string, Uint8Array]> {
  const order = reverse ? -1 : 1
  let next = 0
  for await (const entry of stored) {
    const key = utf8(entry[0])
    let hidden = false
    for (; next < queued.length; next++) {
      const candidate = queued[next]
      if (candidate === undefined) break
      const comparison = order * compareBytes(candidate.key, key)
      if (comparison > 0) break
      hidden ||= comparison === 0
      const value = valueOf(candidate.op)
      if (value !== undefined) yield [utf8Text(candidate.key), value]
    }
    if (!hidden) yield entry
  }
  for (const { key, op } of queued.slice(next)) {
    const value = valueOf(op)
    if (value !== undefined) yield [utf8Text(key), value]
  }
}

function valueOf(op: CrdtOp): Uint8Array | undefined {
  return op.type === 'put' ? op.value : undefined
}
