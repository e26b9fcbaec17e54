/** `ipfs-cluster-service daemon` (Go: `cmd/ipfs-cluster-service/daemon.go`; reference api.md 4.2). */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createMeter, errorCode, systemClock, type Logger } from '@ipfs-cluster/base'
import { openLevelStore } from '@ipfs-cluster/base/level-store'
import {
  displayServiceConfig,
  loadServiceConfig,
  lockFolder,
  locked,
  metricsSection,
  servicePath,
  toPeerConfig,
  tracingSection,
  type ServiceConfig,
} from '../config/index.ts'
import { repairMarkedState } from '../consensus/index.ts'
import { IDENTITY_FILE, loadIdentity, parseIdentity, saveIdentity, type Identity } from '../identity/index.ts'
import { createClusterPeer, type ClusterPeer } from '../peer.ts'
import { settleStore } from '../state/index.ts'
import { keepHeapSmall } from './heap.ts'
import { returnIdleMemory } from './idle-memory.ts'
import { CommandError, step, type CommandIo } from './io.ts'
import { keepMallocSmall } from './malloc.ts'
import { checkDatastore, goStoresIn } from './offline-folder.ts'
import { parsePeerAddress, trustedWith, type PeerAddress } from './peer-address.ts'
import { processVars, reportProcess } from './process-metrics.ts'
import { onStop } from './signals.ts'
import { createNotify } from './systemd.ts'

export interface DaemonOptions {
  readonly folder: string
  /** Multiaddrs of peers to join. */
  readonly bootstrap: readonly string[]
  readonly noTrust: boolean
  readonly leave: boolean
  readonly stats: boolean
  readonly tracing: boolean
}

/** Runs a peer until a signal. A second signal warns, a third ends the process at once. */
export async function daemon(options: DaemonOptions, io: CommandIo, logger: Logger): Promise<void> {
  const { folder } = options
  const bootstrap = options.bootstrap.map(peerAddress)
  using stop = onStop(io, logger)
  const notify = createNotify(io.env, logger)
  const env = { env: io.env, hostname: io.hostname, clock: systemClock, signal: stop.signal }
  const service = await step('loading configurations', () => loadServiceConfig(folder, env))
  const config = await step('loading configurations', () =>
    toPeerConfig(withFlags(service, options), folder, io.env),
  )
  const identity = await step('loading configurations', () => loadOrMoveIdentity(folder, service, io))
  await step('creating datastore', () => checkDatastore(service))
  await using _lock = await step('obtaining execution lock', () => lockFolder(folder, io.pid))
  logger.debug(`Configuration:\n${displayServiceConfig(service)}`)
  await step('starting cluster', () => makeReady(config.storePath, logger, stop.signal))
  sayWhatIsUnread(folder, service, logger)
  for (const what of notThereYet(service, options)) logger.warn(`${what}; it is ignored`)
  const meter = createMeter()
  using _process = reportProcess(meter)
  keepHeapSmall()
  keepMallocSmall()

  await using peer = await step('starting cluster', () =>
    createClusterPeer(
      {
        ...config,
        consensus: {
          ...config.consensus,
          trustedPeers: trustedWith(config.consensus.trustedPeers, options.noTrust ? [] : bootstrap),
        },
        identity,
        join: joinable(bootstrap, logger),
        ...(config.tracing && { tracing: { ...config.tracing, resource: { 'process.pid': io.pid } } }),
      },
      { logger, meter, vars: processVars },
    ).catch((error: unknown) => {
      throw errorCode(error) === 'STORE_LOCKED' ? locked(join(folder, 'cluster.lock'), error) : error
    }),
  )
  await using _memory = returnIdleMemory({ clock: systemClock, logger, peer })
  sayWhereItIs(peer, logger)
  const ready = peer.cluster.ready.then(
    async () => {
      logger.info({ peername: config.cluster.peername }, '** IPFS Cluster is READY **')
      await notify('READY=1')
    },
    // Stopped before: that has been said.
    () => undefined,
  )
  await stop.requested
  await notify('STOPPING=1')
  await peer[Symbol.asyncDispose]()
  await ready
}

/** Ends what `state import` was cut off in, and repairs the CRDT when `state crdt mark-dirty` asked for it. */
async function makeReady(storePath: string, logger: Logger, signal: AbortSignal): Promise<void> {
  await settleStore(storePath)
  if (!existsSync(storePath)) return
  await using store = await openLevelStore(storePath)
  await repairMarkedState(store, logger.child('crdt'), { signal })
}

/** @throws CommandError that names the address. */
function peerAddress(text: string): PeerAddress {
  try {
    return parsePeerAddress(text)
  } catch (cause) {
    throw new CommandError(`parsing bootstrap multiaddress (${text})`, cause)
  }
}

/** As in Go, an address without a peer is an error of its own, and does not keep the peer from starting. */
function joinable(bootstrap: readonly PeerAddress[], logger: Logger): string[] {
  return bootstrap.flatMap(({ address, id }) => {
    if (id !== undefined) return [address]
    logger.error({ address }, 'cannot join through this peer: the address does not end in /p2p/<peer id>')
    return []
  })
}

/** Old configurations hold the identity in the cluster section: it moves to its own file. */
async function loadOrMoveIdentity(
  folder: string,
  { cluster }: ServiceConfig,
  io: CommandIo,
): Promise<Identity> {
  if (existsSync(join(folder, IDENTITY_FILE)) || cluster.private_key === '')
    return await loadIdentity(folder, io.env)
  const identity = parseIdentity(JSON.stringify({ id: cluster.id, private_key: cluster.private_key }), io.env)
  await saveIdentity(folder, identity)
  io.stderr.write(
    `\nNOTICE: identity information extracted from ${servicePath(folder)} and saved as ${join(folder, IDENTITY_FILE)}.\n\n`,
  )
  return identity
}

/** `--stats` and `--tracing`: the Prometheus endpoint and traces whatever the configuration says. */
function withFlags(service: ServiceConfig, { stats, tracing }: DaemonOptions): ServiceConfig {
  const { observations } = service
  const { metrics = metricsSection.initial, tracing: traces = tracingSection.initial } = observations
  return {
    ...service,
    observations: {
      ...observations,
      ...(stats && { metrics: { ...metrics, enable_stats: true } }),
      ...(tracing && { tracing: { ...traces, enable_tracing: true } }),
    },
  }
}

/** What a Go peer would do with this configuration and these flags, and this version does not. */
function notThereYet({ cluster }: ServiceConfig, options: DaemonOptions): string[] {
  const wanted: [boolean, string][] = [
    [
      options.leave || cluster.leave_on_shutdown,
      'leave_on_shutdown: a CRDT cluster has no list of peers to leave, and the pinset stays',
    ],
  ]
  return wanted.filter(([isWanted]) => isWanted).map(([, what]) => what)
}

function sayWhatIsUnread(folder: string, service: ServiceConfig, logger: Logger): void {
  const left = goStoresIn(folder, service)
  if (left.length > 0) {
    logger.warn(
      { folders: left },
      'this folder holds the datastore of a Go peer, which this implementation cannot read: it stays untouched, and the pinset ' +
        'comes from the other peers. Without other peers, export it with the Go program first (state export)',
    )
  }
}

function sayWhereItIs(peer: ClusterPeer, logger: Logger): void {
  const { id, addresses, restUrls, restAddresses, proxyUrls, metricsUrls, gatewayUrl } = peer
  const { pinningUrls, pinningAddresses } = peer
  logger.info({ id, addresses }, 'IPFS Cluster listening on')
  for (const url of restUrls) logger.info({ url }, 'REST API')
  for (const address of restAddresses) logger.info({ address }, 'REST API over libp2p')
  for (const url of proxyUrls) logger.info({ url }, 'IPFS Proxy')
  for (const url of pinningUrls) logger.info({ url }, 'Pinning Service API')
  for (const address of pinningAddresses) logger.info({ address }, 'Pinning Service API over libp2p')
  for (const url of metricsUrls) logger.info({ url }, 'Prometheus metrics')
  if (gatewayUrl !== undefined) logger.info({ url: gatewayUrl }, 'IPFS gateway')
}
