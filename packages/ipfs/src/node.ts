import { type Clock, type Logger, type Random } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { openBlockStore, type BlockStore } from './blocks/block-store.ts'
import { createDetails, type RpcNode } from './details.ts'
import { IpfsNodeError, isFailure } from './errors.ts'
import { createGateway, type Gateway } from './gateway/gateway.ts'
import { createLifetime, type Lifetime } from './lifetime.ts'
import { createCollector, type Collector } from './pins/gc.ts'
import { createPinTable } from './pins/pin-table.ts'
import { createPins, type Pins } from './pins/pins.ts'
import { createReader, type ReadOptions, type Reader } from './reader.ts'
import { openRepo } from './repo.ts'
import { loadIdentity } from './swarm/identity.ts'
import { createSwarm, type Swarm } from './swarm/swarm.ts'
import type { Block, IpfsNode, IpfsNodeConfig } from './types.ts'
import { addFiles } from './unixfs/add.ts'
import { cat, ls, resolvePath } from './unixfs/explore.ts'
import type { ReadBlock } from './unixfs/read-file.ts'

export interface IpfsNodeComponents {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Bytes free on the repository's disk. @default what the system says */
  readonly diskFree?: () => Promise<number>
}

/**
 * Starts a node; dispose of it to stop. Disposal rejects what is under way with `IPFS_REPO_CLOSED` and waits for it.
 *
 * @throws IpfsNodeError `IPFS_REPO_LOCKED`, `IPFS_REPO_VERSION`, `IPFS_BAD_OPTION`
 */
export async function createIpfsNode(
  components: IpfsNodeComponents,
  config: IpfsNodeConfig,
): Promise<RpcNode> {
  const { clock, logger } = components
  checkConfig(config)
  await using stack = new AsyncDisposableStack()
  const repo = stack.use(await openRepo(config.path))
  const stored = new Set<(blocks: readonly Block[]) => void>()
  const blocks = stack.use(
    await openBlockStore(
      {
        store: repo.store,
        logger,
        diskFree: components.diskFree ?? repo.diskFree,
        onStored: added => stored.forEach(tell => tell(added)),
      },
      { folder: repo.segmentFolder, storageMax: config.storageMax },
    ),
  )
  const privateKey = await loadIdentity(repo.store, components.random)
  const swarm = stack.use(await createSwarm({ privateKey, blocks: served(blocks), clock, logger }, config))
  stored.add(swarm.notify)
  const reader = createReader({ blocks, exchange: swarm.exchange, clock, logger })
  const table = createPinTable(repo.store)
  const pins = createPins({ blocks, reader, table })
  const collector = createCollector({ blocks, reader, table, running: pins.running, logger })
  const closed = new IpfsNodeError('the IPFS node has been stopped', {
    code: 'IPFS_REPO_CLOSED',
    path: config.path,
  })
  const lifetime = stack.use(createLifetime(closed))
  const gateway =
    config.gateway === undefined
      ? undefined
      : stack.use(
          await createGateway(
            { reader, clock, logger },
            { listen: config.gateway, fetch: config.gatewayFetch },
          ),
        )
  const { bytes, count } = blocks.totals()
  logger.info(
    { peerId: swarm.peerId, repoSize: bytes, blocks: count, gateway: gateway?.url },
    'IPFS node started',
  )
  const resources = stack.move()
  return {
    ...facade({ blocks, collector, config, gateway, lifetime, pins, reader, swarm }),
    details: createDetails({ blocks, lifetime, reader, swarm: swarm.details }, config.path),
    returnMemory: () => lifetime.run({}, () => repo.unmapFiles()),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

interface Parts {
  readonly blocks: BlockStore
  readonly collector: Collector
  readonly config: IpfsNodeConfig
  readonly gateway: Gateway | undefined
  readonly lifetime: Lifetime
  readonly pins: Pins
  readonly reader: Reader
  readonly swarm: Swarm
}

/** The node's port: its parts, each call bound to the node's life. */
function facade(parts: Parts): Omit<IpfsNode, typeof Symbol.asyncDispose> {
  const { blocks, collector, config, lifetime, reader, swarm } = parts
  return {
    peerId: swarm.peerId,
    addresses: swarm.addresses,
    gatewayUrl: parts.gateway?.url,
    blocks: {
      get: (cid, options) =>
        lifetime.run(options, async signal => {
          using session = reader.session({ ...options, signal, lenient: true })
          return await session.get(cid, { signal })
        }),
      has: async cid => (await blocks.info(cid)) !== undefined,
      put: (list, options) =>
        lifetime.run(options, signal => blocks.put(list, { signal, verified: options?.verified === true })),
    },
    hold: () => blocks.protection.hold(),
    pins: boundPins(parts),
    unixfs: {
      add: (entries, options) =>
        lifetime.iterate(options, signal => addFiles(blocks, entries, { ...options, signal })),
      cat: (path, options) =>
        lifetime.iterate(options, signal =>
          reading(parts, { signal }, read => cat(path, read, { ...options, signal })),
        ),
      ls: (path, options) =>
        lifetime.iterate(options, signal => reading(parts, { signal }, read => ls(path, read, signal))),
    },
    resolve: (path, options) =>
      lifetime.run(options, async signal => {
        using session = reader.session({ signal, lenient: true })
        return await resolvePath(path, (cid, abort) => session.get(cid, { signal: abort }), signal)
      }),
    repo: {
      async stat() {
        const { bytes, count } = blocks.totals()
        return { repoSize: BigInt(bytes), storageMax: BigInt(config.storageMax), numObjects: count }
      },
      gc: options => lifetime.iterate(options, signal => collector.collect({ signal })),
    },
    swarm: {
      connect: (address, options) => lifetime.run(options, signal => swarm.connect(address, { signal })),
      peers: swarm.peers,
    },
  }
}

function boundPins({ lifetime, pins }: Parts): IpfsNode['pins'] {
  return {
    add: (cid, options) => lifetime.run(options, signal => pins.add(cid, { ...options, signal })),
    rm: (cid, options) => lifetime.run(options, signal => pins.rm(cid, { signal })),
    update: (from, to, options) =>
      lifetime.run(options, signal => pins.update(from, to, { ...options, signal })),
    kind: pins.kind,
    ls: options => lifetime.iterate(options, signal => pins.ls({ signal })),
  }
}

/** Iterates with a session of its own. */
async function* reading<T>(
  { reader }: Parts,
  options: ReadOptions,
  source: (read: ReadBlock) => AsyncIterable<T>,
): AsyncGenerator<T> {
  using session = reader.session({ ...options, lenient: true })
  yield* source((cid, signal) => session.get(cid, { signal }))
}

/** What other nodes may have. A damaged block is one that is not here. */
function served(blocks: BlockStore) {
  return {
    async get(cid: CID): Promise<Uint8Array | undefined> {
      try {
        return await blocks.get(cid)
      } catch (error) {
        if (isFailure(error, 'IPFS_BLOCK_CORRUPT', 'IPFS_UNKNOWN_HASH')) return undefined
        throw error
      }
    },
    size: async (cid: CID): Promise<number | undefined> => (await blocks.info(cid))?.size,
  }
}

function checkConfig({ storageMax }: IpfsNodeConfig): void {
  if (Number.isSafeInteger(storageMax) && storageMax > 0) return
  throw new IpfsNodeError(`storageMax must be a whole number of bytes above 0, not ${storageMax}`, {
    code: 'IPFS_BAD_OPTION',
    option: 'storageMax',
  })
}
