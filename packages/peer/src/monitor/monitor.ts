import { comparePeerIds, type Metric, type PeerId } from '@ipfs-cluster/api'
import {
  assert,
  createTaskScope,
  errorMessage,
  hasPrefix,
  refusalsOf,
  silentMeter,
  utf8,
  type Clock,
  type Logger,
  type Meter,
} from '@ipfs-cluster/base'
import type { Network, PubsubMessage } from '../net/index.ts'
import { createAlertLog } from './alert-log.ts'
import { createMetricTable } from './metric-table.ts'
import type { MonitorConfig, PeerMonitor } from './types.ts'

/** How a metric travels; throws on bytes that are none. */
export interface MetricCodec {
  encode(metric: Metric): Uint8Array
  decode(bytes: Uint8Array): Metric
}

export interface MonitorComponents {
  readonly selfId: PeerId
  readonly pubsub: Pick<Network, 'publish' | 'subscribe'>
  readonly codec: MetricCodec
  readonly clock: Clock
  readonly logger: Logger
  readonly meter?: Meter
}

const TOPIC = 'monitor.metrics'
/** The metric that makes its sender a member. */
const PING = 'ping'
/** After an hour of silence a peer's metrics are dropped. */
const RETENTION_NS = 3_600_000_000_000n
/** Multicodec header that old peers put before a metric. */
const OLD_HEADER = Uint8Array.of(9, ...utf8('/msgpack\n'))

/** Subscribes and starts to look for expired metrics. */
export function createMonitor(
  { selfId, pubsub, codec, clock, logger, meter = silentMeter }: MonitorComponents,
  config: MonitorConfig,
): PeerMonitor {
  const table = createMetricTable()
  const refusals = refusalsOf(meter, 'metrics')
  const alerts = createAlertLog(logger)
  const scope = createTaskScope(logger)

  const record = (metric: Metric) => {
    const now = clock.nowNs()
    if (table.put({ ...metric, receivedAt: now })) return
    refusals.count('too_many')
    logger.debug(
      { peer: metric.peer, metric: metric.name },
      'metric refused: too many peers or names, or too long',
    )
  }

  const receive = ({ data, from, late }: PubsubMessage) => {
    if (late === true) return
    let metric: Metric
    try {
      metric = codec.decode(hasPrefix(data, OLD_HEADER) ? data.subarray(OLD_HEADER.length) : data)
    } catch (error) {
      refusals.count('malformed')
      logger.debug({ from, error: errorMessage(error) }, 'metric cannot be read')
      return
    }
    // Nobody speaks for another peer: otherwise any member could keep a dead one alive.
    if (metric.peer === from) return record(metric)
    refusals.count('of_another_peer')
    logger.debug({ from, peer: metric.peer }, 'metric of another peer than its author refused')
  }

  const subscription = pubsub.subscribe(TOPIC, receive)
  scope.run('check metrics', async signal => {
    while (true) {
      await clock.sleep(config.checkIntervalMs, { signal })
      const expired = table.sweep(clock.nowNs(), RETENTION_NS)
      for (const metric of expired) alerts.raise({ ...metric, triggeredAt: clock.nowNs() })
    }
  })

  return {
    async publish(metric) {
      assert(metric.peer === selfId, 'only our own metrics are published')
      if (!metric.valid) return
      // Our own view must not depend on pubsub giving us our message back.
      record(metric)
      await pubsub.publish(TOPIC, codec.encode(metric))
    },
    record,
    latest: name => table.live(name, clock.nowNs()),
    latestOf: (name, peer) => table.get(name, peer, clock.nowNs()),
    names: () => table.names(),
    members() {
      const alive = table.live(PING, clock.nowNs()).map(({ peer }) => peer)
      return alive.includes(selfId) ? alive : [...alive, selfId].sort(comparePeerIds)
    },
    alerts: alerts.all,
    onAlert: alerts.listen,
    async [Symbol.asyncDispose]() {
      subscription[Symbol.dispose]()
      await scope[Symbol.asyncDispose]()
    },
  }
}
