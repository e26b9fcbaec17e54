import { raceSignal, type AbortOptions, type Logger } from '@ipfs-cluster/base'
import { CID } from 'multiformats/cid'
import { decode as decodeDigest } from 'multiformats/hashes/digest'
import type { BlockStore } from '../blocks/block-store.ts'
import { FingerprintSet } from '../blocks/fingerprint-set.ts'
import { IpfsNodeError } from '../errors.ts'
import { isKnownLeaf, linksOf } from '../links.ts'
import type { FetchSession, Reader } from '../reader.ts'
import type { Pin, PinTable } from './pin-table.ts'
import type { RunningPin } from './pins.ts'
import { walkDag } from './walk.ts'

/** Blocks read at a time while marking. */
const MARK_CONCURRENCY = 8
/** Blocks removed together. */
const SWEEP_BLOCKS = 1000
/** How long others are asked for a block that a pin has lost. */
const HEAL_TIMEOUT_MS = 30_000
const RAW = 0x55

export interface CollectorComponents {
  readonly blocks: BlockStore
  readonly reader: Reader
  readonly table: PinTable
  readonly running: () => Iterable<RunningPin>
  readonly logger: Logger
}

export interface Collector {
  /**
   * Removes what no pin, running pin or hold needs, yielding each block as a raw CIDv1 (only the hash is known); then gives the space back
   * to the disk. One collection at a time. Memory: a fingerprint (23-46 bytes) for each pinned block.
   *
   * @throws what reading throws when an inner block of a pinned DAG is lost and nobody delivers it: without it nobody can tell which
   * blocks the pin needs. Nothing has been removed then; pin the DAG again while it can be found, or unpin it.
   */
  collect(options?: AbortOptions): AsyncGenerator<CID>
}

/** What must stay. */
interface Marks {
  /** With everything below. */
  readonly whole: FingerprintSet
  /** Themselves only. */
  readonly single: FingerprintSet
}

export function createCollector(components: CollectorComponents): Collector {
  const { blocks, logger } = components
  let last: Promise<unknown> = Promise.resolve()
  return {
    async *collect({ signal } = {}) {
      const before = last
      const finished = Promise.withResolvers<void>()
      last = Promise.all([before, finished.promise])
      try {
        await raceSignal(before, signal)
        // From here on, whatever a pin or an add touches is protected, and what was touched under a hold before remains so.
        using _frozen = blocks.protection.freeze()
        const marks = await mark(components, signal)
        let count = 0
        for await (const cid of sweep(blocks, marks, signal)) {
          count++
          yield cid
        }
        logger.info({ removed: count, kept: blocks.totals().count }, 'garbage collected')
      } finally {
        finished.resolve()
      }
      await blocks.compact({ signal })
    },
  }
}

async function mark(components: CollectorComponents, signal: AbortSignal | undefined): Promise<Marks> {
  const { reader, table, running } = components
  const marks: Marks = { whole: new FingerprintSet(), single: new FingerprintSet() }
  using session = reader.session({ signal, timeoutMs: HEAL_TIMEOUT_MS })
  using local = reader.session({ signal, fetch: false })
  // Before the table: a pin that ends in between is in one of them, or its blocks are still held.
  for (const { cid, pin } of running())
    await markPin(components, local, cid, pin, { marks, signal, partly: true })
  for await (const [cid, pin] of table.entries({ signal })) {
    await markPin(components, session, cid, pin, { marks, signal, partly: false })
  }
  return marks
}

interface MarkOptions extends AbortOptions {
  readonly marks: Marks
  /** Parts of the DAG may be missing: they are still being fetched. */
  readonly partly: boolean
}

async function markPin(
  { blocks, logger }: CollectorComponents,
  session: FetchSession,
  root: CID,
  { kind, maxDepth }: Pin,
  { marks, partly, signal }: MarkOptions,
): Promise<void> {
  if (kind === 'direct') {
    marks.single.add(root.multihash.bytes)
    return
  }
  const whole = maxDepth === undefined && !partly
  const links = async (cid: CID, stop: AbortSignal): Promise<readonly CID[]> => {
    const info = await blocks.info(cid)
    if (isKnownLeaf(cid, info ?? { leaf: false })) return []
    if (info === undefined && !partly) {
      logger.warn({ cid: cid.toString(), pin: root.toString() }, 'a pinned block is missing: fetching it')
    }
    return linksOf(cid, await session.get(cid, { signal: stop }))
  }
  await walkDag(
    root,
    async (cid, { last }, stop) => {
      if (!whole) marks.single.add(cid.multihash.bytes)
      if (last) return []
      try {
        return await links(cid, stop)
      } catch (error) {
        // A running pin lacks blocks by its nature, and deals with bad ones itself.
        if (partly && error instanceof IpfsNodeError) return []
        throw error
      }
    },
    {
      concurrency: MARK_CONCURRENCY,
      maxDepth,
      signal,
      // Blocks below others of which only a part was walked must be walked again.
      ...(whole ? { seen: marks.whole } : {}),
    },
  )
}

async function* sweep(
  blocks: BlockStore,
  marks: Marks,
  signal: AbortSignal | undefined,
): AsyncGenerator<CID> {
  const allowed = (multihash: Uint8Array) => !blocks.protection.protects(multihash)
  const isGarbage = (multihash: Uint8Array) => !marks.whole.has(multihash) && !marks.single.has(multihash)
  let doomed: Uint8Array[] = []
  const remove = async () => {
    const batch = doomed
    doomed = []
    const removed = await blocks.remove(batch, allowed)
    return removed.map(multihash => CID.createV1(RAW, decodeDigest(multihash)))
  }
  for await (const [multihash] of blocks.entries({ signal })) {
    if (!isGarbage(multihash) || !allowed(multihash)) continue
    // The row's buffer may be shared with its neighbours.
    doomed.push(Uint8Array.from(multihash))
    if (doomed.length >= SWEEP_BLOCKS) yield* await remove()
  }
  if (doomed.length > 0) yield* await remove()
}
