/**
 * What a peer does by itself at intervals (Go: `cluster.go` `run`, `watchPinset`, `alertsHandler`, `pushPingMetrics`): announces that it
 * lives, connects IPFS daemons, retries what failed. `expiry.ts` lets pins expire, `repin.ts` moves the pins of peers that died.
 */
import type { PeerId } from '@ipfs-cluster/api'
import {
  errorMessage,
  type Clock,
  type Logger,
  type Meter,
  type TaskScope,
  silentMeter,
} from '@ipfs-cluster/base'
import type { Consensus } from '../consensus/index.ts'
import type { IpfsConnector } from '../ipfsconn/index.ts'
import type { PeerMonitor } from '../monitor/index.ts'
import type { PinTracker } from '../pintracker/index.ts'
import { closestChecker } from './closest.ts'
import { letPinsExpire, type ExpiryComponents, type ExpiryConfig } from './expiry.ts'
import type { Members } from './members.ts'
import { describePeer, formatPing, pingMetric, type PeerDescription } from './peer-view.ts'
import type { Pinning } from './pinning.ts'
import {
  measureRepinning,
  REPIN_RETRY_MS,
  repinFromTheDead,
  type RepinComponents,
  type RepinConfig,
  type RepinCounts,
} from './repin.ts'
import type { RepinJournal } from './repin-journal.ts'
import type { ClusterConfig } from './types.ts'

/** How often the IPFS daemon is asked for its id until it answers. */
const IPFS_WAIT_MS = 1_000
/** An update or a restart of a machine takes less; moving what a peer keeps takes hours, and is for nothing when it comes back. */
export const DEFAULT_REPIN_GRACE_MS: number = 2 * 60_000

export interface LoopComponents {
  readonly self: PeerId
  readonly consensus: Consensus
  readonly monitor: PeerMonitor
  readonly tracker: PinTracker
  readonly ipfs: IpfsConnector
  readonly members: Members
  readonly pinning: Pinning
  readonly journal: RepinJournal
  /** Pins in the pinset. */
  readonly pinCount: () => number
  readonly meter?: Meter | undefined
  /** Publishes all our metrics now. */
  readonly announce: (signal: AbortSignal) => Promise<void>
  readonly clock: Clock
  readonly logger: Logger
}

/** Waits until the IPFS daemon answers, however long that takes. */
export async function waitForIpfs(
  { ipfs, clock, logger }: Pick<LoopComponents, 'ipfs' | 'clock' | 'logger'>,
  signal: AbortSignal,
): Promise<void> {
  let said = false
  while (true) {
    try {
      await ipfs.id({ signal })
      return
    } catch (error) {
      signal.throwIfAborted()
      if (!said) logger.warn({ error: errorMessage(error) }, 'waiting for the IPFS daemon to answer')
      said = true
      await clock.sleep(IPFS_WAIT_MS, { signal })
    }
  }
}

/** Makes our ping metrics. Keeps the daemon's last known id while it does not answer. */
export function createPinger(
  { self, ipfs, clock, monitor }: Pick<LoopComponents, 'self' | 'ipfs' | 'clock' | 'monitor'>,
  config: ClusterConfig,
) {
  let last: PeerDescription = { peerName: config.peername, ipfs: '', ipfsAddresses: [] }
  return {
    /** What others are told of us. */
    description: (): PeerDescription => last,
    async publish(signal: AbortSignal): Promise<void> {
      const deadline = AbortSignal.any([signal, clock.timeout(config.monitorPingIntervalMs)])
      try {
        const { id, addresses } = await ipfs.id({ signal: deadline })
        last = { peerName: config.peername, ipfs: id, ipfsAddresses: addresses }
      } catch {
        // The daemon being down is no reason to look dead ourselves; its state shows in the status of pins.
        signal.throwIfAborted()
      }
      await monitor.publish(pingMetric(self, formatPing(last), clock.nowNs(), config.monitorPingIntervalMs))
    },
  }
}

export function startLoops(
  components: LoopComponents,
  pinger: ReturnType<typeof createPinger>,
  config: ClusterConfig,
  scope: TaskScope,
): void {
  const { clock, logger } = components
  const every = (
    name: string,
    intervalMs: number,
    first: 'now' | 'later',
    work: (signal: AbortSignal) => Promise<void>,
  ) =>
    scope.run(name, async signal => {
      if (first === 'later') await clock.sleep(intervalMs, { signal })
      while (true) {
        await work(signal).catch((error: unknown) => {
          signal.throwIfAborted()
          logger.warn(
            { loop: name, error: errorMessage(error) },
            'a periodic task failed; it will be tried again',
          )
        })
        await clock.sleep(intervalMs, { signal })
      }
    })

  every('ping', config.monitorPingIntervalMs, 'now', signal => pinger.publish(signal))
  every('recover', config.pinRecoverIntervalMs, 'later', signal => recoverAll(components, signal))
  every('watch members', config.peerWatchIntervalMs, 'now', memberWatch(components, config))
  const counts = measureRepinning(components.meter ?? silentMeter, components.pinCount)
  if (config.followerMode) return
  scope.run('expire', signal => letPinsExpire(expiryParts(components), expiryConfig(config), signal))
  if (config.disableRepinning) return
  scope.run('repin', signal => repinFromTheDead(repinParts(components, counts), repinConfig(config), signal))
}

function expiryParts({ self, consensus, monitor, pinning, clock, logger }: LoopComponents): ExpiryComponents {
  const closest = () => closestChecker(self, trustedMembers(monitor, consensus))
  return { state: consensus.state, pinning, closest, clock, logger }
}

function expiryConfig({ stateSyncIntervalMs, monitorPingIntervalMs }: ClusterConfig): ExpiryConfig {
  return {
    startDelayMs: Math.min(stateSyncIntervalMs, monitorPingIntervalMs),
    retryMs: stateSyncIntervalMs,
  }
}

function repinParts(components: LoopComponents, counts: RepinCounts): RepinComponents {
  const { self, consensus, monitor, pinning, journal, clock, logger } = components
  const closest = (dead: PeerId) =>
    closestChecker(
      self,
      trustedMembers(monitor, consensus).filter(peer => peer !== dead),
    )
  return { self, state: consensus.state, monitor, pinning, closest, journal, counts, clock, logger }
}

function repinConfig(config: ClusterConfig): RepinConfig {
  return {
    graceMs: config.repinGracePeriodMs ?? DEFAULT_REPIN_GRACE_MS,
    // A ping is good for two intervals: whoever has sent none until then is not there.
    startDelayMs: 2 * config.monitorPingIntervalMs,
    watchIntervalMs: config.peerWatchIntervalMs,
    retryMs: REPIN_RETRY_MS,
  }
}

async function recoverAll({ tracker, logger }: LoopComponents, signal: AbortSignal): Promise<void> {
  const { checked, lost } = await tracker.audit({ signal })
  let recovered = 0
  for await (const _info of tracker.recoverAll({ signal })) recovered++
  if (lost > 0 || recovered > 0) logger.info({ checked, lost, recovered }, 'pins recovered')
}

/**
 * Greets peers that have just become members: announces us, so that they need not wait for our next metrics, and once the delay has
 * passed connects our IPFS daemon with theirs.
 */
function memberWatch(
  { members, monitor, ipfs, self, clock, announce }: LoopComponents,
  config: ClusterConfig,
) {
  const connectFrom = clock.monotonic() + config.connectSwarmsDelayMs
  let greeted: ReadonlySet<PeerId> = new Set([self])
  let connected: ReadonlySet<PeerId> = greeted
  const daemonOf = (peer: PeerId) => describePeer(monitor, peer).ipfs
  return async (signal: AbortSignal) => {
    const present = new Set(monitor.members())
    if (!present.isSubsetOf(greeted)) await announce(signal)
    greeted = present
    if (config.connectSwarmsDelayMs === 0 || clock.monotonic() < connectFrom) return
    const others = [...connected].filter(peer => peer !== self && present.has(peer))
    if (others.length > 0) {
      // Our daemon may have been restarted, and then knows nobody any more.
      const swarm = await ipfs.swarmPeers({ signal }).catch(() => undefined)
      signal.throwIfAborted()
      // Not answering at all: there is nothing to connect.
      if (swarm === undefined) return
      if (!others.some(peer => swarm.includes(daemonOf(peer)))) connected = new Set([self])
    }
    await members.connectSwarms([...present.difference(connected)], { signal })
    connected = present
  }
}

function trustedMembers(monitor: PeerMonitor, consensus: Consensus): readonly PeerId[] {
  return monitor.members().filter(peer => consensus.isTrusted(peer))
}
