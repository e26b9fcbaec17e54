import type { Libp2p, PrivateKey } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr'
import {
  anySignal,
  Channel,
  createTaskScope,
  errorMessage,
  type AbortOptions,
  type Clock,
  type Logger,
  type TaskScope,
} from '@ipfs-cluster/base'
import { createBitswap, type BitswapBlocks } from '@ipfs-cluster/bitswap'
import type { CID } from 'multiformats/cid'
import { HASHERS } from '../blocks/hash.ts'
import { IpfsNodeError } from '../errors.ts'
import type { Exchange } from '../reader.ts'
import type { Block } from '../types.ts'
import { delegatedProviders, type Provider } from './delegated-routing.ts'
import { createSwarmDetails, type SwarmDetails } from './details.ts'
import { createExchange } from './exchange.ts'
import { createHost, DIAL_TIMEOUT_MS, parsePeerAddress, type HostConfig } from './host.ts'

/** How often bootstrap peers that are not connected are dialled. */
const BOOTSTRAP_INTERVAL_MS = 30_000
/** Providers found and not taken yet. */
const PROVIDERS_AHEAD = 16

export interface SwarmComponents {
  readonly privateKey: PrivateKey
  /** What is handed out to others. */
  readonly blocks: BitswapBlocks
  readonly clock: Clock
  readonly logger: Logger
}

export interface SwarmConfig extends HostConfig {
  readonly delegatedRouting: readonly string[]
}

export interface Swarm extends AsyncDisposable {
  readonly peerId: string
  /** With /p2p. */
  addresses(): readonly string[]
  /** @throws IpfsNodeError `IPFS_DIAL_FAILED` */
  connect(address: string, options?: AbortOptions): Promise<void>
  peers(): readonly string[]
  readonly exchange: Exchange
  readonly details: SwarmDetails
  /** These blocks are here now. */
  notify(blocks: readonly Block[]): void
}

export async function createSwarm(components: SwarmComponents, config: SwarmConfig): Promise<Swarm> {
  const { clock, logger } = components
  await using stack = new AsyncDisposableStack()
  const bootstrap = config.bootstrap.map(parsePeerAddress)
  const { libp2p } = stack.use(await createHost(components.privateKey, config))
  const bitswap = stack.use(
    await createBitswap({ libp2p, blocks: components.blocks, clock, logger, hashers: HASHERS }),
  )
  const tasks = stack.use(createTaskScope(logger))

  const dial = async (target: Multiaddr[] | string, { signal }: AbortOptions): Promise<string> => {
    signal?.throwIfAborted()
    const what = typeof target === 'string' ? peerIdFromString(target) : target
    const deadline = anySignal(signal, clock.timeout(DIAL_TIMEOUT_MS))
    const connection = await libp2p.dial(what, deadline === undefined ? {} : { signal: deadline })
    return connection.remotePeer.toString()
  }
  const dialProvider = async ({ id, addresses }: Provider, options: AbortOptions): Promise<string> => {
    if (isConnected(libp2p, id)) return id
    const full = addresses.map(address => withPeer(address, id))
    return await dial(full.length === 0 ? id : full, options)
  }
  const findProviders = routing(components, libp2p, config)
  keepBootstrapped({ bootstrap, clock, libp2p, logger, tasks }, dial)

  const resources = stack.move()
  return {
    peerId: libp2p.peerId.toString(),
    addresses: () => libp2p.getMultiaddrs().map(address => address.toString()),
    async connect(address, options = {}) {
      const parsed = parsePeerAddress(address)
      try {
        await dial([parsed], options)
      } catch (cause) {
        options.signal?.throwIfAborted()
        throw new IpfsNodeError(
          `cannot connect to ${address}: ${errorMessage(cause)}`,
          { code: 'IPFS_DIAL_FAILED', address },
          { cause },
        )
      }
    },
    peers: () => libp2p.getPeers().map(peer => peer.toString()),
    exchange: createExchange({
      bitswap,
      clock,
      logger,
      tasks,
      dial: dialProvider,
      ...(findProviders === undefined ? {} : { findProviders }),
    }),
    details: createSwarmDetails(libp2p, { clock, dial, findProviders }),
    notify: blocks => bitswap.notify(blocks),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

type FindProviders = (cid: CID, options: AbortOptions) => AsyncIterable<Provider>

/** All configured ways to find providers, at once. */
function routing(
  { clock, logger }: SwarmComponents,
  libp2p: Libp2p,
  { delegatedRouting, routing }: SwarmConfig,
): FindProviders | undefined {
  const ways: FindProviders[] = delegatedRouting.map(
    endpoint => (cid, options) => delegatedProviders({ clock, logger }, endpoint, cid, options),
  )
  if (routing === 'dhtclient') ways.push((cid, options) => dhtProviders(libp2p, cid, options))
  if (ways.length === 0) return undefined
  return async function* (cid, options) {
    const found = new Channel<Provider>(PROVIDERS_AHEAD)
    const stop = new AbortController()
    const signal = anySignal(options.signal, stop.signal)
    const searches = ways.map(async way => {
      try {
        for await (const provider of way(cid, { signal }))
          if (!(await found.push(provider, { signal }))) return
      } catch (error) {
        if (signal?.aborted !== true) logger.debug({ error: errorMessage(error) }, 'a provider search failed')
      }
    })
    const ended = Promise.all(searches).then(() => found.end())
    try {
      yield* found
    } finally {
      stop.abort(new DOMException('enough', 'AbortError'))
      await ended
    }
  }
}

async function* dhtProviders(libp2p: Libp2p, cid: CID, { signal }: AbortOptions): AsyncGenerator<Provider> {
  const providers = libp2p.contentRouting.findProviders(cid, signal === undefined ? {} : { signal })
  for await (const { id, multiaddrs } of providers) {
    yield { id: id.toString(), addresses: multiaddrs.map(address => address.toString()) }
  }
}

interface Bootstrapping {
  readonly bootstrap: readonly Multiaddr[]
  readonly clock: Clock
  readonly libp2p: Libp2p
  readonly logger: Logger
  readonly tasks: TaskScope
}

function keepBootstrapped(
  { bootstrap, clock, libp2p, logger, tasks }: Bootstrapping,
  dial: (target: Multiaddr[], options: AbortOptions) => Promise<string>,
): void {
  for (const address of bootstrap) {
    tasks.run('bootstrap', async signal => {
      const id = peerOf(address)
      for (let failures = 0; !signal.aborted;) {
        try {
          if (!isConnected(libp2p, id)) await dial([address], { signal })
          failures = 0
        } catch (error) {
          if (signal.aborted) return
          const fields = { address: address.toString(), error: errorMessage(error) }
          // Once when it goes away; it may be away for long.
          if (failures++ === 0) logger.warn(fields, 'cannot connect to a bootstrap peer; trying again')
          else logger.debug(fields, 'cannot connect to a bootstrap peer')
        }
        await clock.sleep(BOOTSTRAP_INTERVAL_MS, { signal })
      }
    })
  }
}

function isConnected(libp2p: Libp2p, id: string): boolean {
  return id !== '' && libp2p.getPeers().some(peer => peer.toString() === id)
}

function peerOf(address: Multiaddr): string {
  return address.getComponents().findLast(({ name }) => name === 'p2p')?.value ?? ''
}

function withPeer(address: string, id: string): Multiaddr {
  const parsed = multiaddr(address)
  return peerOf(parsed) === '' ? parsed.encapsulate(`/p2p/${id}`) : parsed
}
