import type { GlobalRepoGC, PeerId } from '@ipfs-cluster/api'
import {
  createMemoryStore,
  createTaskScope,
  errorMessage,
  noopTracer,
  traced,
  type Clock,
  type Logger,
  type Meter,
  type Store,
  type Tracer,
} from '@ipfs-cluster/base'
import { createAdder } from '../adder/index.ts'
import type { Consensus } from '../consensus/index.ts'
import type { Informers } from '../informer/index.ts'
import type { IpfsConnector } from '../ipfsconn/index.ts'
import type { PeerMonitor } from '../monitor/index.ts'
import { RPC, type Network } from '../net/index.ts'
import type { PinTracker } from '../pintracker/index.ts'
import { VERSION } from '../version.ts'
import { holdBlocks } from './block-holds.ts'
import { createExporter } from './export.ts'
import { createPinger, startLoops, waitForIpfs } from './loops.ts'
import { createMembers } from './members.ts'
import { createPinning } from './pinning.ts'
import { createRepinJournal } from './repin-journal.ts'
import { rpcService } from './rpc-service.ts'
import { withShards } from './shards-status.ts'
import { scratchInMemory, type OpenScratch } from './sort-by-cid.ts'
import { createStatusQueries } from './status.ts'
import { createTurns, type Turns } from './turns.ts'
import type { Cluster, ClusterConfig } from './types.ts'

export interface ClusterComponents {
  readonly network: Network
  readonly consensus: Consensus
  readonly monitor: PeerMonitor
  readonly tracker: PinTracker
  readonly ipfs: IpfsConnector
  readonly informers: Informers
  /** The root store: who has been a member, and whose pins are being moved. @default in memory */
  readonly store?: Store
  /** Pins in the pinset. @default unknown, told as 0 */
  readonly pinCount?: () => number
  readonly meter?: Meter
  /** Where lists that do not fit in memory are sorted. @default in memory */
  readonly scratch?: OpenScratch
  /** Of what users ask and change one by one. @default turns of its own */
  readonly turns?: Turns
  /** @default noopTracer */
  readonly tracer?: Tracer
  readonly clock: Clock
  readonly logger: Logger
}

/**
 * Joins the rooms into a peer that answers: serves its RPC methods at once, and starts its loops when the IPFS daemon has answered.
 */
export function createCluster(components: ClusterComponents, config: ClusterConfig): Cluster {
  const { network, consensus, monitor, tracker, ipfs, informers, clock, logger } = components
  const { tracer = noopTracer, scratch = scratchInMemory, turns = createTurns(clock) } = components
  const self = network.peerId
  const scope = createTaskScope(logger)
  const pinger = createPinger({ self, ipfs, clock, monitor }, config)

  const announce = async (signal: AbortSignal) => {
    await Promise.all([pinger.publish(signal), informers.publishNow({ signal })])
  }
  let pinsSinceInformed = 0
  const onPin = (count: number) => {
    pinsSinceInformed += count
    if (config.informerTriggerInterval === 0 || pinsSinceInformed < config.informerTriggerInterval) return
    pinsSinceInformed = 0
    scope.run('publish informer metrics', signal => informers.publishNow({ signal }))
  }

  const pinning = createPinning({ self, consensus, monitor, ipfs, clock, onPin, turns, logger }, config)
  const ofPins = createStatusQueries(
    { network, consensus, monitor, tracker, clock, openScratch: scratch },
    config,
  )
  const queries = { ...ofPins, ...withShards(ofPins, { consensus, pinning, monitor }, config) }
  const members = createMembers(
    {
      network,
      consensus,
      monitor,
      ipfs,
      clock,
      logger,
      announce: ({ signal } = {}) =>
        announce(signal === undefined ? scope.signal : AbortSignal.any([signal, scope.signal])),
    },
    config,
  )
  const adder = createAdder({
    self,
    clock,
    logger: logger.child('adder'),
    openScratch: scratch,
    allocate: pin => traced(tracer, 'cluster/BlockAllocate', {}, () => pinning.blockAllocate(pin)),
    pin: async (pin, options) => void (await pinning.pinObject(pin, options)),
    pinSharded: () => pinning.sharded.begin(),
    hold: (peer, options) => holdBlocks({ network, ipfs, state: consensus.state, clock }, peer, options),
    async putBlocks(peer, blocks, { signal, owned }) {
      // The adder makes the hashes itself, or checks them.
      if (peer === self) return await ipfs.blockStream(blocks, { signal, owned, verified: true })
      // The reply carries nothing; its end says that all blocks are stored.
      for await (const _reply of network.rpc.stream(peer, RPC.IPFSConnector.BlockStream, blocks, { signal }));
    },
  })

  network.serve(
    rpcService({
      self,
      peername: config.peername,
      members,
      pinning,
      queries,
      consensus,
      monitor,
      tracker,
      ipfs,
      rpc: network.rpc,
    }),
    peer => consensus.isTrusted(peer),
  )

  const ready = waitForIpfs({ ipfs, clock, logger }, scope.signal).then(() => {
    startLoops(
      {
        self,
        consensus,
        monitor,
        tracker,
        ipfs,
        members,
        pinning,
        journal: createRepinJournal(components.store ?? createMemoryStore()),
        pinCount: components.pinCount ?? (() => 0),
        meter: components.meter,
        announce,
        clock,
        logger,
      },
      pinger,
      config,
      scope,
    )
  })
  // Whoever awaits `ready` learns of the failure; nobody has to.
  ready.catch((error: unknown) =>
    logger.debug({ error: errorMessage(error) }, 'stopped before becoming ready'),
  )

  return {
    ready,
    ...members,
    ...pinning,
    ...queries,
    version: () => ({ version: VERSION }),
    peerRemove: (peer, options) => consensus.removePeer(peer, options),
    pinGet: cid => turns.ask(() => pinning.pinGet(cid)),
    status: (cid, options) => turns.ask(() => queries.status(cid, options)),
    statusLocal: (cid, options) => turns.ask(() => queries.statusLocal(cid, options)),
    pins: (types, options) => consensus.state.list({ ...options, types }),
    pinLines: (types, options) => consensus.state.lines({ ...options, types }),
    recoverLocal: async (cid, options) => {
      const pin = await pinning.pinGet(cid)
      const shards = pin.type === 'meta-pin' ? await pinning.sharded.shardsOf(pin, options) : []
      for (const shard of shards) await tracker.recover(shard, options)
      return await tracker.recover(cid, options)
    },
    recoverAllLocal: options => tracker.recoverAll(options),
    add: (parts, params, options) => adder.add(parts, params, options),
    exportCar: createExporter({
      network,
      ipfs,
      pinGet: pinning.pinGet,
      members: () => monitor.members(),
      openScratch: scratch,
      clock,
      logger: logger.child('export'),
    }),
    repoGCLocal: async (options): Promise<GlobalRepoGC> => ({
      peerMap: { [self]: await members.repoGCLocal(options) } satisfies Record<PeerId, unknown>,
    }),
    metrics: name => monitor.latest(name),
    metricNames: () => monitor.names(),
    alerts: () => monitor.alerts(),
    bandwidthByProtocol: () => network.bandwidth(),
    [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose](),
  }
}
