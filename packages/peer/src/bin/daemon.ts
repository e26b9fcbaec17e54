/** `ipfs-cluster-service daemon` (Go: `cmd/ipfs-cluster-service/daemon.go`; reference api.md 4.2). */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { hasPeerId, parseMultiaddr } from '@ipfs-cluster/api'
import { createMeter, errorCode, systemClock, type Logger } from '@ipfs-cluster/base'
import { openLevelStore } from '@ipfs-cluster/base/level-store'
import {
  loadServiceConfig,
  lockFolder,
  locked,
  metricsSection,
  toPeerConfig,
  type ServiceConfig,
} from '../config/index.ts'
import { repairMarkedState } from '../consensus/index.ts'
import { IDENTITY_FILE, loadIdentity, parseIdentity, saveIdentity, type Identity } from '../identity/index.ts'
import { createClusterPeer, type ClusterPeer } from '../peer.ts'
import { settleStore } from '../state/index.ts'
import { step, type CommandIo } from './io.ts'
import { goStoresIn } from './offline-folder.ts'
import { reportProcess } from './process-metrics.ts'

export interface DaemonOptions {
  readonly folder: string
  /** Multiaddrs with /p2p of peers to join. */
  readonly bootstrap: readonly string[]
  readonly noTrust: boolean
  readonly leave: boolean
  readonly stats: boolean
  readonly tracing: boolean
}

/** Runs a peer until a signal. A second signal warns, a third ends the process at once. */
export async function daemon(options: DaemonOptions, io: CommandIo, logger: Logger): Promise<void> {
  const { folder } = options
  const bootstrap = await step('parsing the bootstrap addresses', () => options.bootstrap.map(peerAddress))
  const stopped = Promise.withResolvers<void>()
  const beforeStart = new AbortController()
  let signals = 0
  using _signals = io.onSignal(name => {
    signals++
    if (signals === 1) {
      logger.info(`${name}: shutting down`)
      stopped.resolve()
      beforeStart.abort(new Error(`stopped by ${name}`))
    } else if (signals === 2) {
      logger.warn(
        'still shutting down. Send the signal once more to end now; what is not saved yet may be lost',
      )
    } else {
      io.stderr.write('exiting cluster NOW\n')
      io.exit(1)
    }
  })
  const env = { env: io.env, hostname: io.hostname, clock: systemClock }
  const service = await step('loading configurations', () => loadServiceConfig(folder, env))
  const config = await step('loading configurations', () =>
    toPeerConfig(options.stats ? withStats(service) : service, folder),
  )
  const identity = await step('loading the identity', () => loadOrMoveIdentity(folder, service, io))
  await using _lock = await step('obtaining execution lock', () => lockFolder(folder, io.pid))
  await step('starting cluster', () => makeReady(config.storePath, logger, beforeStart.signal))
  sayWhatIsUnread(folder, service, logger)
  for (const what of notThereYet(service, options)) logger.warn(`${what}; it is ignored`)
  const meter = createMeter()
  reportProcess(meter)

  await using peer = await step('starting cluster', () =>
    createClusterPeer(
      { ...config, consensus: trusting(config.consensus, options), identity, join: bootstrap },
      { logger, meter },
    ).catch((error: unknown) => {
      throw errorCode(error) === 'STORE_LOCKED' ? locked(join(folder, 'cluster.lock'), error) : error
    }),
  )
  sayWhereItIs(peer, logger)
  const ready = peer.cluster.ready.then(
    () => logger.info({ peername: config.cluster.peername }, '** IPFS Cluster is READY **'),
    // Stopped before: that has been said.
    () => undefined,
  )
  await stopped.promise
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

/** @throws Error that names the address. */
function peerAddress(text: string): string {
  try {
    if (hasPeerId(parseMultiaddr(text))) return text
  } catch (cause) {
    throw new Error(`${text} is no multiaddress`, { cause })
  }
  throw new Error(`${text} does not end in /p2p/<peer id>`)
}

type CrdtConfig = ReturnType<typeof toPeerConfig>['consensus']

/** Peers to join are trusted, unless asked otherwise. */
function trusting(config: CrdtConfig, { bootstrap, noTrust }: DaemonOptions): CrdtConfig {
  if (noTrust || config.trustedPeers === 'all') return config
  const ids = bootstrap.map(address => address.split('/p2p/').at(-1) ?? '').filter(id => id !== '')
  return { ...config, trustedPeers: [...new Set([...config.trustedPeers, ...ids])] }
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
    `NOTICE: the identity in service.json was saved to ${join(folder, IDENTITY_FILE)}; remove it from service.json\n`,
  )
  return identity
}

/** `--stats`: the Prometheus endpoint whatever the configuration says. */
function withStats(service: ServiceConfig): ServiceConfig {
  const { observations } = service
  const metrics = { ...(observations.metrics ?? metricsSection.initial), enable_stats: true }
  return { ...service, observations: { ...observations, metrics } }
}

/** What a Go peer would do with this configuration and these flags, and this version does not. */
function notThereYet({ cluster, api, observations }: ServiceConfig, options: DaemonOptions): string[] {
  const { tracing } = observations
  const wanted: [boolean, string][] = [
    [api.ipfsproxy !== undefined, 'api.ipfsproxy: this version has no IPFS proxy'],
    [api.pinsvcapi !== undefined, 'api.pinsvcapi: this version has no pinning service API'],
    [options.tracing || tracing?.enable_tracing === true, '--tracing: this version does not trace'],
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
  const { id, addresses, restUrls, metricsUrls, gatewayUrl } = peer
  logger.info({ id, addresses }, 'IPFS Cluster listening on')
  for (const url of restUrls) logger.info({ url }, 'REST API')
  for (const url of metricsUrls) logger.info({ url }, 'Prometheus metrics')
  if (gatewayUrl !== undefined) logger.info({ url: gatewayUrl }, 'IPFS gateway')
}
