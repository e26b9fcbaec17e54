import type { Metric } from '@ipfs-cluster/api'
import { createTaskScope, errorMessage, type AbortOptions, type Clock, type Logger } from '@ipfs-cluster/base'
import type { PeerMonitor } from '../monitor/index.ts'
import {
  diskInformer,
  pinQueueInformer,
  tagsInformer,
  type DiskInformerComponents,
  type PinQueueInformerComponents,
} from './informers.ts'
import type { Informer, InformerConfig, Informers } from './types.ts'

export interface InformersComponents extends DiskInformerComponents, PinQueueInformerComponents {
  readonly monitor: Pick<PeerMonitor, 'publish'>
}

/** Milliseconds between two publications at least, however short the TTL. */
const MIN_INTERVAL_MS = 100

interface Loop {
  readonly informer: Informer
  readonly ttlMs: number
}

/**
 * Starts publishing the metrics of each informer that is configured: at once, then after half of the shortest time they have left, or
 * after a quarter of the TTL when a metric could not be made or published. Start it when the peer is ready.
 */
export function createInformers(components: InformersComponents, config: InformerConfig): Informers {
  const { clock, logger, monitor } = components
  const loops = loopsOf(components, config)
  const scope = createTaskScope(logger)

  const publish = async (informer: Informer, options: AbortOptions): Promise<readonly Metric[]> => {
    const metrics = await informer.metrics(options)
    for (const metric of metrics) if (metric.valid) await monitor.publish(metric)
    return metrics
  }

  for (const { informer, ttlMs } of loops) {
    scope.run(`informer ${informer.name}`, async signal => {
      while (true) {
        const metrics = await publish(informer, { signal }).catch((error: unknown) => {
          signal.throwIfAborted()
          report(logger, informer, error)
          return undefined
        })
        await clock.sleep(intervalMs(metrics, ttlMs, clock), { signal })
      }
    })
  }

  return {
    async publishNow(options = {}) {
      const results = await Promise.allSettled(loops.map(({ informer }) => publish(informer, options)))
      options.signal?.throwIfAborted()
      const errors = results.flatMap(result =>
        result.status === 'rejected' ? [result.reason as unknown] : [],
      )
      if (errors.length > 0) throw new AggregateError(errors)
    },
    [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose](),
  }
}

function loopsOf(components: InformersComponents, { disk, tags, pinqueue }: InformerConfig): Loop[] {
  const loops: Loop[] = []
  if (disk !== undefined) loops.push({ informer: diskInformer(components, disk), ttlMs: disk.metricTtlMs })
  if (tags !== undefined) loops.push({ informer: tagsInformer(components, tags), ttlMs: tags.metricTtlMs })
  if (pinqueue !== undefined) {
    loops.push({ informer: pinQueueInformer(components, pinqueue), ttlMs: pinqueue.metricTtlMs })
  }
  return loops
}

/** @param metrics what was published; `undefined` when that failed. */
function intervalMs(metrics: readonly Metric[] | undefined, ttlMs: number, clock: Clock): number {
  if (metrics === undefined || metrics.some(({ valid }) => !valid))
    return Math.max(MIN_INTERVAL_MS, ttlMs / 4)
  const now = clock.nowNs()
  const left = metrics.map(({ expire }) => Number(expire - now) / 1e6)
  return Math.max(MIN_INTERVAL_MS, Math.min(ttlMs, ...left) / 2)
}

function report(logger: Logger, informer: Informer, error: unknown): void {
  logger.warn({ informer: informer.name, error: errorMessage(error) }, 'metrics could not be published')
}
