import type { Metric, PeerId } from '@ipfs-cluster/api'
import { errorMessage, silentMeter, type Clock, type Logger, type Meter } from '@ipfs-cluster/base'
import type { IpfsConnector } from '../ipfsconn/index.ts'
import type { Informer, InformerConfig } from './types.ts'

type SectionOf<Name extends keyof InformerConfig> = NonNullable<InformerConfig[Name]>

export interface InformerComponents {
  readonly selfId: PeerId
  readonly clock: Clock
}

/** What the pin tracker knows of what is to come. */
export interface TrackerNumbers {
  pinQueueSize(): number
  /** Bytes of the disk. */
  reservedBytes(): number
}

export interface DiskInformerComponents extends InformerComponents {
  readonly ipfs: Pick<IpfsConnector, 'repoStat'>
  readonly tracker: TrackerNumbers
  readonly logger: Logger
  /** @default silentMeter */
  readonly meter?: Meter
}

export interface PinQueueInformerComponents extends InformerComponents {
  readonly tracker: TrackerNumbers
}

/** `freespace`: bytes left when the pins of now are done, as far as their sizes are known, invalid when there are none; or `reposize`: bytes in use, the fewest preferred. */
export function diskInformer(components: DiskInformerComponents, config: SectionOf<'disk'>): Informer {
  const { ipfs, tracker, logger, meter = silentMeter } = components
  const name = config.metricType
  let lastWeight = 0
  meter.gauge(
    'ipfscluster_informer_disk',
    'The metric value weight issued by disk informer',
    () => lastWeight,
  )
  const make = (value: bigint, weight: bigint, valid: boolean) => {
    lastWeight = Number(weight)
    return newMetric(components, config.metricTtlMs, { name, value: `${value}`, weight, valid })
  }
  return {
    name: 'disk',
    async metrics(options) {
      try {
        // The connector has its own deadline for this.
        const { repoSize, storageMax } = await ipfs.repoStat(options)
        if (name === 'reposize') return [make(repoSize, -repoSize, true)]
        const free = storageMax - repoSize - BigInt(tracker.reservedBytes())
        return [make(free, free, free > 0n)]
      } catch (error) {
        options?.signal?.throwIfAborted()
        logger.warn(
          { metric: name, error: errorMessage(error) },
          'the IPFS daemon did not tell its disk usage',
        )
        return [make(0n, 0n, false)]
      }
    },
  }
}

/** One metric `tag:<name>` for each tag; allocation spreads copies over its values. */
export function tagsInformer(components: InformerComponents, config: SectionOf<'tags'>): Informer {
  return {
    name: 'tags',
    metrics: () =>
      Promise.resolve(
        Object.entries(config.tags).map(([tag, value]) =>
          newMetric(components, config.metricTtlMs, {
            name: `tag:${tag}`,
            value,
            weight: 0n,
            partitionable: true,
          }),
        ),
      ),
  }
}

/** `pinqueue`: pins waiting; peers whose queues fall in the same bucket weigh the same. */
export function pinQueueInformer(
  components: PinQueueInformerComponents,
  config: SectionOf<'pinqueue'>,
): Informer {
  const bucket = BigInt(Math.max(1, config.weightBucketSize))
  return {
    name: 'pinqueue',
    metrics() {
      const queued = BigInt(components.tracker.pinQueueSize())
      const metric = { name: 'pinqueue', value: `${queued}`, weight: -queued / bucket }
      return Promise.resolve([newMetric(components, config.metricTtlMs, metric)])
    },
  }
}

function newMetric(
  { selfId, clock }: InformerComponents,
  ttlMs: number,
  fields: Pick<Metric, 'name' | 'value' | 'weight'> & Partial<Metric>,
): Metric {
  return {
    peer: selfId,
    expire: clock.nowNs() + BigInt(Math.round(ttlMs * 1e6)),
    valid: true,
    partitionable: false,
    receivedAt: 0n,
    ...fields,
  }
}
