/**
 * What a peer does by itself at intervals (Go: `cluster.go` `run`, `watchPinset`, `alertsHandler`, `pushPingMetrics`): announces that it
 * lives, connects IPFS daemons, lets pins expire, retries what failed, and moves the pins of peers that died.
 */
import type { Alert, PeerId } from '@ipfs-cluster/api'
import {
  errorCode,
  errorMessage,
  isAbortError,
  type Clock,
  type Logger,
  type TaskScope,
} from '@ipfs-cluster/base'
import type { Consensus } from '../consensus/index.ts'
import type { IpfsConnector } from '../ipfsconn/index.ts'
import type { PeerMonitor } from '../monitor/index.ts'
import type { PinTracker } from '../pintracker/index.ts'
import { closestChecker } from './closest.ts'
import type { Members } from './members.ts'
import { describePeer, formatPing, pingMetric, type PeerDescription } from './peer-view.ts'
import type { Pinning } from './pinning.ts'
import type { ClusterConfig } from './types.ts'

/** How often the IPFS daemon is asked for its id until it answers. */
const IPFS_WAIT_MS = 1_000
/** A pass over many pins leaves room for requests: a pause after each so many. */
const REPIN_PAUSE_EVERY = 100
const REPIN_PAUSE_MS = 10

export interface LoopComponents {
  readonly self: PeerId
  readonly consensus: Consensus
  readonly monitor: PeerMonitor
  readonly tracker: PinTracker
  readonly ipfs: IpfsConnector
  readonly members: Members
  readonly pinning: Pinning
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
  if (config.followerMode) return
  every('expire', config.stateSyncIntervalMs, 'later', signal => expirePins(components, signal))
  if (!config.disableRepinning) watchDeaths(components, scope)
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

/** Unpins what has expired, where we are the one to do it. */
async function expirePins(
  { self, consensus, monitor, pinning, clock, logger }: LoopComponents,
  signal: AbortSignal,
) {
  const isOurs = closestChecker(self, trustedMembers(monitor, consensus))
  const now = Math.floor(clock.now() / 1000)
  for await (const pin of consensus.state.expired(now, { signal })) {
    if (!isOurs(pin.cid)) continue
    logger.info({ cid: pin.cid.toString(), name: pin.name }, 'unpinning an expired pin')
    await pinning.unpin(pin.cid, { signal }).catch((error: unknown) => {
      // Somebody else was first.
      if (errorCode(error) !== 'PIN_NOT_FOUND') throw error
    })
  }
}

/** Moves the pins of a peer whose ping expired, one pass at a time, until it comes back. */
function watchDeaths(components: LoopComponents, scope: TaskScope): void {
  const { monitor, logger } = components
  const passes = new Set<PeerId>()
  const subscription = monitor.onAlert(alert => {
    if (alert.name !== 'ping' || alert.peer === components.self || passes.has(alert.peer)) return
    passes.add(alert.peer)
    scope.run(`repin from ${alert.peer}`, async signal => {
      try {
        await repinFrom(components, alert, signal)
      } finally {
        passes.delete(alert.peer)
      }
    })
  })
  scope.signal.addEventListener('abort', () => subscription[Symbol.dispose](), { once: true })
  logger.debug('re-pinning of dead peers is on')
}

async function repinFrom(components: LoopComponents, alert: Alert, signal: AbortSignal): Promise<void> {
  const { self, consensus, monitor, pinning, clock, logger } = components
  const dead = alert.peer
  const isOurs = closestChecker(
    self,
    trustedMembers(monitor, consensus).filter(peer => peer !== dead),
  )
  let tried = 0
  let moved = 0
  let failed = 0
  for await (const pin of consensus.state.list({ signal })) {
    if (!pin.allocations.includes(dead) || !isOurs(pin.cid)) continue
    if (monitor.latestOf('ping', dead) !== undefined) {
      logger.info({ peer: dead, moved }, 'the peer is back: re-pinning stops')
      return
    }
    try {
      if (await pinning.reallocate(pin.cid, dead, { signal })) moved++
    } catch (error) {
      if (isAbortError(error)) signal.throwIfAborted()
      // The first says why; a thousand more of the same would hide it.
      if (failed++ === 0) {
        logger.warn(
          { cid: pin.cid.toString(), error: errorMessage(error) },
          'cannot move a pin of a dead peer',
        )
      }
    }
    if (++tried % REPIN_PAUSE_EVERY === 0) await clock.sleep(REPIN_PAUSE_MS, { signal })
  }
  logger.info({ peer: dead, moved, failed }, 're-pinned what the dead peer kept')
}

function trustedMembers(monitor: PeerMonitor, consensus: Consensus): readonly PeerId[] {
  return monitor.members().filter(peer => consensus.isTrusted(peer))
}
