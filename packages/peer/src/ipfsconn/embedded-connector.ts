import type { IPFSPinInfo, IPFSRepoGC, Multiaddr, NodeWithMeta, Pin } from '@ipfs-cluster/api'
import {
  anySignal,
  errorCode,
  errorMessage,
  lengthOf,
  raceSignal,
  silentMeter,
  type AbortOptions,
  type Clock,
  type Logger,
  type Meter,
  createStallGuard,
} from '@ipfs-cluster/base'
import type { Block, IpfsNode } from '@ipfs-cluster/ipfs'
import { dagBlocks } from '@ipfs-cluster/ipfs/car'
import type { CID } from 'multiformats/cid'
import { withHolds } from './block-holds.ts'
import { IpfsError, badPath, timedOut, unpinDisabled } from './errors.ts'
import { parseIpfsPath } from './ipfs-path.ts'
import { MAX_ORIGINS, PIN_UPDATE_TIMEOUT_MS, type PinOptions } from './kubo-pin.ts'
import { countedPins, measuredConnector, pinMetrics, type PinMetrics } from './metrics.ts'
import { readShard } from './shard-list.ts'
import { createSharedHolds } from './shared-holds.ts'
import type { IpfsConnector, IpfsHttpConfig } from './types.ts'
import { UnderWay } from './under-way.ts'

/** Bytes of blocks stored in one durable group; two groups of a stream are in memory at a time. */
const GROUP_BYTES = 4 * 1024 * 1024
/** The same where there are many streams, whose groups are then stored together. */
const GROUP_MIN_BYTES = 512 * 1024
/** Bytes in groups of all streams. */
const GROUPS_BYTES = 64 * 1024 * 1024
/** Groups of a stream that are being stored while the next one gathers: one is written and one synced at a time, and one is there to follow. */
const GROUPS_UNDER_WAY = 3
/** Blocks in one group, for those that are tiny. */
const GROUP_BLOCKS = 1024

export interface EmbeddedConnectorComponents {
  /** Not disposed of by the connector. */
  readonly node: IpfsNode
  readonly clock: Clock
  readonly logger: Logger
  /** @default silentMeter */
  readonly meter?: Meter
}

export type EmbeddedConnectorConfig = Pick<IpfsHttpConfig, 'pinTimeoutMs' | 'unpinDisable'>

/** The connector to the built-in IPFS node in this process: same promises as the one to Kubo. */
export function createEmbeddedConnector(
  components: EmbeddedConnectorComponents,
  config: EmbeddedConnectorConfig,
): IpfsConnector {
  const { node, clock, meter = silentMeter } = components
  const { call, list, close } = createCalls()
  const metrics = pinMetrics(meter)
  const holds = createSharedHolds(node)
  const groupBytes = () =>
    Math.min(GROUP_BYTES, Math.max(GROUP_MIN_BYTES, GROUPS_BYTES / (GROUPS_UNDER_WAY + 1) / holds.streams))

  const connector: IpfsConnector = {
    id: options =>
      call('id', options, async () => ({
        id: node.peerId,
        addresses: [...node.addresses()].sort(),
        error: '',
      })),
    pin: (pin, options = {}) =>
      call(`pin/add ${pin.cid}`, options, signal =>
        pinWithNode({ ...components, metrics }, config.pinTimeoutMs, pin, { ...options, signal }),
      ),
    unpin: (cid, options) =>
      call(`pin/rm ${cid}`, options, async signal => {
        if (config.unpinDisable) throw unpinDisabled()
        try {
          await node.pins.rm(cid, { signal })
          metrics.changed(-1)
        } catch (error) {
          if (errorCode(error) !== 'IPFS_NOT_PINNED') throw error
        }
      }),
    pinLs: options =>
      countedPins(
        metrics,
        list('pin/ls', options, async function* (signal): AsyncGenerator<IPFSPinInfo> {
          for await (const { cid, kind } of node.pins.ls({ signal })) yield { cid, type: kind }
        }),
      ),
    pinLsCid: (cid, mode, options) =>
      call(`pin/ls ${cid}`, options, async () => ((await node.pins.kind(cid)) === mode ? mode : 'unpinned')),
    repoStat: options => call('repo/stat', options, () => node.repo.stat()),
    repoGC: options =>
      list('repo/gc', options, async function* (signal): AsyncGenerator<IPFSRepoGC> {
        for await (const key of node.repo.gc({ signal })) yield { key, error: '' }
      }),
    resolve: (path, options) =>
      call(`resolve ${path}`, options, async signal => {
        const parsed = parseIpfsPath(path)
        return parsed.cid ?? (await node.resolve(parsed.text, { signal }))
      }),
    swarmPeers: options => call('swarm/peers', options, async () => node.swarm.peers()),
    swarmConnect: (addresses, options) =>
      call('swarm/connect', options, async signal => {
        for (const address of addresses) await tryConnect(components, address, signal)
      }),
    blockStream: (blocks, options) =>
      call('block/put', options, async signal => {
        // Garbage collection keeps away from the first blocks until the last is there, and from there on whoever shares this.
        using _held = holds.begin()
        const { verified = false, owned = false } = options ?? {}
        await storeInGroups(node, blocks, { signal, groupBytes, verified, owned })
      }),
    blockGet: (cid, options) => call(`block/get ${cid}`, options, signal => node.blocks.get(cid, { signal })),
    dagBlocks: (root, options) =>
      list(`dag/export ${root}`, options, signal => {
        const read = (cid: CID, reading: AbortSignal | undefined) =>
          node.blocks.get(cid, { signal: anySignal(reading, signal) })
        return dagBlocks(root, read, { maxDepth: options?.maxDepth })
      }),
    [Symbol.asyncDispose]: close,
  }
  const held = withHolds(connector, clock, async () => holds.share())
  return measuredConnector(held, meter, clock)
}

/** Calls end with the connector, and fail with this port's errors. */
function createCalls() {
  const underWay = new UnderWay()
  const either = (options: AbortOptions | undefined) =>
    anySignal(underWay.closing, options?.signal) ?? underWay.closing
  return {
    async call<T>(path: string, options: AbortOptions | undefined, work: Work<T>): Promise<T> {
      const signal = either(options)
      signal.throwIfAborted()
      using _call = underWay.begin()
      try {
        return await work(signal)
      } catch (error) {
        throw signal.aborted ? signal.reason : toIpfsError(path, error)
      }
    },
    async *list<T>(path: string, options: AbortOptions | undefined, items: List<T>): AsyncGenerator<T> {
      const signal = either(options)
      try {
        signal.throwIfAborted()
        yield* items(signal)
      } catch (error) {
        throw signal.aborted ? signal.reason : toIpfsError(path, error)
      }
    },
    close: () => underWay.close(),
  }
}

type Work<T> = (signal: AbortSignal) => Promise<T>
type List<T> = (signal: AbortSignal) => AsyncIterable<T>

async function pinWithNode(
  components: EmbeddedConnectorComponents & { readonly metrics: PinMetrics },
  pinTimeoutMs: number,
  pin: Pin,
  { signal, onProgress }: PinOptions,
): Promise<void> {
  const { node, metrics } = components
  const kind = pin.maxDepth === 0 ? 'direct' : 'recursive'
  if ((await node.pins.kind(pin.cid)) === kind) return

  const ended = new AbortController()
  const origins = pin.origins.slice(0, MAX_ORIGINS)
  const connecting = Promise.allSettled(
    origins.map(origin => tryConnect(components, origin, anySignal(ended.signal, signal) ?? ended.signal)),
  )
  try {
    const from = pin.pinUpdate
    if (from !== null && (await node.pins.kind(from)) === 'recursive') {
      await updateInNode(components, from, pin.cid, { signal, ...(onProgress && { onProgress }) })
    } else {
      metrics.asked()
      const adding = addInNode(components, pinTimeoutMs, pin, { signal, ...(onProgress && { onProgress }) })
      await adding.catch((error: unknown) => {
        metrics.failed()
        throw error
      })
    }
    metrics.changed(1)
  } finally {
    ended.abort(new DOMException('the pin is done', 'AbortError'))
    await connecting
  }
}

async function updateInNode(
  { node, clock }: EmbeddedConnectorComponents,
  from: CID,
  to: CID,
  { signal, onProgress }: PinOptions,
): Promise<void> {
  using deadline = createStallGuard(clock, PIN_UPDATE_TIMEOUT_MS)
  try {
    const either = anySignal(deadline.signal, signal)
    await node.pins.update(from, to, { unpin: false, signal: either, ...(onProgress && { onProgress }) })
  } catch (error) {
    throw deadline.signal.aborted && signal?.aborted !== true
      ? timedOut(`pin/update ${to}`, PIN_UPDATE_TIMEOUT_MS)
      : error
  }
}

async function addInNode(
  { node, clock }: EmbeddedConnectorComponents,
  pinTimeoutMs: number,
  pin: Pin,
  { signal, onProgress }: PinOptions,
): Promise<void> {
  using guard = createStallGuard(clock, pinTimeoutMs)
  try {
    const providers = pin.origins.slice(0, MAX_ORIGINS).flatMap(peerIdOf)
    const either = anySignal(guard.signal, signal)
    const maxDepth = await depthOf(node, pin, { providers, signal: either })
    await node.pins.add(pin.cid, {
      kind: maxDepth === 0 ? 'direct' : 'recursive',
      ...(maxDepth > 0 && { maxDepth }),
      providers,
      signal: either,
      onProgress: progress => {
        guard.progress()
        onProgress?.(progress)
      },
    })
  } catch (error) {
    const stalled = guard.signal.aborted && signal?.aborted !== true
    throw stalled ? timedOut(`pin/add ${pin.cid}`, pinTimeoutMs, 'no progress') : error
  }
}

/** Levels to keep: a shard with many blocks has one more than its pin says. */
async function depthOf(
  node: IpfsNode,
  pin: Pin,
  options: AbortOptions & { readonly providers: readonly string[] },
): Promise<number> {
  if (pin.type !== 'shard-pin' || pin.maxDepth !== 1) return pin.maxDepth
  const read = async (cid: CID) => {
    while (true) {
      try {
        return await node.blocks.get(cid, options)
      } catch (error) {
        // Nobody has delivered it for a minute: how long a pin waits is its own limit.
        if (errorCode(error) !== 'IPFS_BLOCK_MISSING') throw error
        options.signal?.throwIfAborted()
      }
    }
  }
  const shard = await readShard(pin.cid, read)
  return shard !== undefined && shard.lists.length > 1 ? 2 : 1
}

function peerIdOf(address: Multiaddr): string[] {
  const id = /\/p2p\/([^/]+)$/.exec(address)?.[1]
  return id === undefined ? [] : [id]
}

/** A peer out of reach is only worth a note. */
async function tryConnect(
  { node, logger }: EmbeddedConnectorComponents,
  address: Multiaddr,
  signal: AbortSignal,
): Promise<void> {
  try {
    await node.swarm.connect(address, { signal })
  } catch (error) {
    signal.throwIfAborted()
    logger.debug({ address, error: errorMessage(error) }, 'IPFS could not connect')
  }
}

/** Stores one group while the next is gathered. */
async function storeInGroups(
  node: IpfsNode,
  blocks: AsyncIterable<NodeWithMeta>,
  options: {
    readonly signal: AbortSignal
    readonly groupBytes: () => number
    readonly verified: boolean
    readonly owned: boolean
  },
): Promise<void> {
  const { signal, groupBytes, verified, owned } = options
  const source = blocks[Symbol.asyncIterator]()
  let group: Block[] = []
  let bytes = 0
  const storing: Promise<void>[] = []
  const failed = new AbortController()
  const either = AbortSignal.any([signal, failed.signal])
  const store = async () => {
    if (storing.length >= GROUPS_UNDER_WAY) await storing.shift()
    const full = group
    group = []
    bytes = 0
    if (full.length === 0) return
    const stored = node.blocks.put(full, { signal, verified }).then(() => {
      // The node may still show one of them to another, who then has a copy: the pieces are only written.
      if (owned) for (const block of full) block.giveBack?.()
    })
    stored.catch((error: unknown) => failed.abort(error))
    storing.push(stored)
  }
  try {
    while (true) {
      const { done, value } = await raceSignal(source.next(), either)
      if (done === true) break
      group.push(value)
      bytes += lengthOf(value)
      if (bytes >= groupBytes() || group.length >= GROUP_BLOCKS) await store()
    }
    await store()
    await Promise.all(storing)
  } catch (error) {
    // Not awaited: the source may be waiting for something that never comes; it ends by its own means.
    source.return?.()?.catch(() => undefined)
    await Promise.allSettled(storing)
    throw error
  }
}

function toIpfsError(path: string, error: unknown): unknown {
  if (error instanceof IpfsError) return error
  const code = errorCode(error)
  // The node's own failures become this port's; anything else (a block source's, say) must stay what it is.
  if (code === undefined || !/^(IPFS|STORE)_/.test(code)) return error
  const message = errorMessage(error)
  if (code === 'IPFS_BAD_PATH') return badPath(path, message)
  return new IpfsError(
    `IPFS error (${path}). Message: ${message}`,
    { code: 'IPFS_REQUEST_FAILED', path, text: message },
    { cause: error },
  )
}
