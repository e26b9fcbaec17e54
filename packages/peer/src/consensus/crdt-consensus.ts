import { encodePin, encodePins, type PeerId } from '@ipfs-cluster/api'
import {
  createTaskScope,
  errorMessage,
  refusalsOf,
  silentMeter,
  type Clock,
  type Logger,
  type Meter,
  type Random,
  type JournaledStore,
} from '@ipfs-cluster/base'
import { createCrdt, defaultCrdtConfig, type Crdt, type CrdtConfig, type CrdtOp } from '@ipfs-cluster/crdt'
import type { CID } from 'multiformats/cid'
import type { Network } from '../net/index.ts'
import { createPinState, openPinOutbox, pinKey } from '../state/index.ts'
import { announcementsOver } from './announcements.ts'
import { BulkBlocks } from './bulk-blocks.ts'
import { BulkServer } from './bulk-server.ts'
import { ConsensusError } from './errors.ts'
import { ExchangeBlocks } from './exchange-blocks.ts'
import { HeadsRequest } from './heads-request.ts'
import { topicOf } from './topic.ts'
import type { Consensus, CrdtConsensusConfig } from './types.ts'

export interface CrdtConsensusComponents {
  /** The root store. */
  readonly store: JournaledStore
  readonly network: Pick<
    Network,
    | 'peerId'
    | 'publish'
    | 'subscribe'
    | 'exchange'
    | 'connect'
    | 'connectedPeers'
    | 'addressesOf'
    | 'protect'
    | 'rpc'
  >
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly meter?: Meter
}

/**
 * Joins the pinset of the cluster of that name.
 *
 * @throws StoreError, NetworkError `NET_ALREADY_SUBSCRIBED`.
 */
export async function createCrdtConsensus(
  components: CrdtConsensusComponents,
  config: CrdtConsensusConfig,
): Promise<Consensus> {
  const { store, network, clock, random, logger, meter = silentMeter } = components
  await using stack = new AsyncDisposableStack()
  const trust = createTrust(network.peerId, config.trustedPeers)
  const outbox = await openPinOutbox(store)
  meter.gauge(
    'ipfscluster_outbox_changes',
    'Changes of the pinset that the pin tracker has not taken yet',
    () => outbox.pending,
  )

  // The exchange serves blocks of the CRDT and the CRDT fetches through the exchange: the server waits for the one moment in between.
  const opening = Promise.withResolvers<Crdt>()
  opening.promise.catch(() => undefined)
  const bitswap = stack.use(
    await network.exchange({
      get: async cid => await (await opening.promise).block(cid),
      size: async cid => await (await opening.promise).blockSize(cid),
    }),
  )
  const scope = stack.use(createTaskScope(logger))
  const refusals = refusalsOf(meter, 'bulk')
  const has = async (cid: CID) => (await (await opening.promise).blockSize(cid)) !== undefined
  const bulk = new BulkBlocks({ network, has, clock, logger, scope, refusals })
  const blocks = stack.use(new ExchangeBlocks({ network, bitswap, bulk, clock, logger, scope }))
  const headsRequest = new HeadsRequest({
    network,
    isTrusted: trust.isTrusted,
    clock,
    random,
    logger,
    scope,
  })
  const broadcast = announcementsOver(network, topicOf(config.clusterName), trust.isTrusted, {
    onHeads(heads) {
      blocks.announced(heads)
      headsRequest.onHeads()
    },
    onPeer: peer => headsRequest.onPeer(peer),
  })
  const crdt = stack.use(
    await openCrdt(
      {
        store,
        blocks,
        broadcast,
        clock,
        random,
        logger,
        meter,
        projection: changes => outbox.project(changes),
        onChanges: () => outbox.written(),
      },
      crdtConfig(config),
      opening,
    ),
  )
  const server = new BulkServer({ block: cid => crdt.block(cid), refusals })
  const { state, changes, buildIndexes, undecodable } = createPinState({
    store,
    entries: crdt,
    outbox,
    logger,
  })
  scope.run('index pins', signal => buildIndexes({ signal }))
  meter.total(
    'ipfscluster_state_undecodable_total',
    'Entries of the pinset met that could not be read as a pin',
    undecodable,
  )
  for (const peer of trust.listed) protect(network, peer, logger)

  const owned = stack.move()
  return {
    state,
    changes,
    logPin: (pin, options) =>
      crdt.commit([{ type: 'put', key: pinKey(pin.cid), value: encodePin(pin) }], options),
    logUnpin: (cid, options) => crdt.commit([{ type: 'delete', key: pinKey(cid) }], options),
    async logPins(pins, options) {
      const values = encodePins(pins)
      const ops = pins.map(({ cid }, i): CrdtOp => ({
        type: 'put',
        key: pinKey(cid),
        value: values[i] as Uint8Array,
      }))
      await crdt.commit(ops, options)
    },
    logUnpins: (cids, options) =>
      crdt.commit(
        cids.map(cid => ({ type: 'delete', key: pinKey(cid) })),
        options,
      ),
    isTrusted: trust.isTrusted,
    async trust(peer) {
      trust.add(peer)
      await network.protect(peer)
    },
    members: () => undefined,
    // Go's text: clients show it.
    removePeer: () =>
      Promise.reject(
        new ConsensusError('crdt consensus component cannot remove peers', {
          code: 'CONSENSUS_FIXED_MEMBERSHIP',
        }),
      ),
    stats: () => crdt.stats(),
    blocks: (peer, requests, options) => server.serve(peer, requests, options),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function openCrdt(
  components: Parameters<typeof createCrdt>[0],
  config: CrdtConfig,
  opening: PromiseWithResolvers<Crdt>,
): Promise<Crdt> {
  try {
    const crdt = await createCrdt(components, config)
    opening.resolve(crdt)
    return crdt
  } catch (error) {
    opening.reject(error)
    throw error
  }
}

/** Heads follow each other in milliseconds while many write; signing and sending a message costs as much as a commit. */
const ANNOUNCEMENT_GAP_MS = 20
/**
 * Pins that come one by one gather for so long, durable and listed: making a node of them costs as much as some of them do, here and on every peer, and
 * others can wait for that long. Many that come together are a node at once.
 */
const NODE_GAP_MS = 100

/** Batching as Go has it: both limits above 0; its queue holds `maxQueueSize` operations, here durably. */
function crdtConfig({ batching, rebroadcastIntervalMs }: CrdtConsensusConfig): CrdtConfig {
  const config = { ...defaultCrdtConfig, rebroadcastIntervalMs, announcementGapMs: ANNOUNCEMENT_GAP_MS }
  if (batching.maxBatchSize <= 0 || batching.maxBatchAgeMs <= 0) return { ...config, nodeGapMs: NODE_GAP_MS }
  return {
    ...config,
    ...(batching.maxQueueSize > 0 ? { maxQueuedOps: batching.maxQueueSize } : {}),
    batching: { maxOps: batching.maxBatchSize, maxAgeMs: batching.maxBatchAgeMs },
  }
}

interface Trust {
  /** Those named so far. */
  readonly listed: ReadonlySet<PeerId>
  isTrusted(peer: PeerId): boolean
  add(peer: PeerId): void
}

/** A peer always trusts itself. */
function createTrust(self: PeerId, trusted: CrdtConsensusConfig['trustedPeers']): Trust {
  const all = trusted === 'all'
  const listed = new Set<PeerId>(all ? [] : trusted)
  return {
    listed,
    isTrusted: peer => all || peer === self || listed.has(peer),
    add: peer => void listed.add(peer),
  }
}

function protect(network: Pick<Network, 'protect'>, peer: PeerId, logger: Logger): void {
  network.protect(peer).catch((err: unknown) => {
    logger.warn({ err, peer }, `a trusted peer's connections are not protected: ${errorMessage(err)}`)
  })
}
