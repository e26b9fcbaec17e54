/** What is measured of the IPFS daemon: what Go peers export, and every call by kind. */
import type { IPFSPinInfo, NodeWithMeta } from '@ipfs-cluster/api'
import {
  DURATION_BOUNDS_S,
  errorCode,
  lengthOf,
  MAX_SERIES,
  memoize,
  OPENCENSUS_BYTES_BOUNDS,
  OPENCENSUS_MS_BOUNDS,
  type Clock,
  type Meter,
} from '@ipfs-cluster/base'
import type { IpfsConnector } from './types.ts'

/** What a connector tells of pins beyond its answers. */
export interface PinMetrics {
  /** A pin that was not there yet is asked for. */
  asked(): void
  failed(): void
  /** The daemon holds one pin more, or less. */
  changed(by: 1 | -1): void
  /** The daemon has told all of its pins. */
  listed(count: number): void
}

export function pinMetrics(meter: Meter): PinMetrics {
  let pins = 0
  meter.gauge('ipfscluster_pins_ipfs_pins', 'Current number of items pinned on IPFS', () => pins)
  const asked = meter.counter('ipfscluster_pins_pin_add', 'Total number of IPFS pin requests')
  const failed = meter.counter('ipfscluster_pins_pin_add_errors', 'Total number of failed pin requests')
  for (const counter of [asked, failed]) counter.add({}, 0)
  return {
    asked: () => asked.add(),
    failed: () => failed.add(),
    changed(by) {
      pins = Math.max(0, pins + by)
    },
    listed(count) {
      pins = count
    },
  }
}

/** One HTTP request to the daemon. */
export interface RequestMetrics {
  sent(bytes: number): void
  received(bytes: number): void
  /** @param status of the answer; `undefined` when there was none. */
  ended(status: number | undefined): void
}

/** The client views of OpenCensus, as Go peers export them. All requests are POST, and statuses are few. */
export function requestMetrics(meter: Meter, clock: Pick<Clock, 'monotonic'>): () => RequestMetrics {
  const name = (view: string) => `ipfscluster_opencensus_io_http_client_${view}`
  const by = 'by HTTP method and response status'
  const completed = meter.counter(name('completed_count'), `Count of completed requests, ${by}`)
  const latency = meter.histogram(
    name('roundtrip_latency'),
    `End-to-end latency in milliseconds, ${by}`,
    OPENCENSUS_MS_BOUNDS,
  )
  const received = meter.histogram(
    name('received_bytes'),
    `Total bytes received in response bodies (not including headers but including error responses with bodies), ${by}`,
    OPENCENSUS_BYTES_BOUNDS,
  )
  const sent = meter.histogram(
    name('sent_bytes'),
    `Total bytes sent in request body (not including headers), ${by}`,
    OPENCENSUS_BYTES_BOUNDS,
  )
  const viewsOf = memoize(MAX_SERIES, (status: number | undefined) => {
    const labels = { http_client_method: 'POST', http_client_status: String(status ?? 'error') }
    return {
      completed: completed.of(labels),
      latency: latency.of(labels),
      received: received.of(labels),
      sent: sent.of(labels),
    }
  })
  return () => {
    const start = clock.monotonic()
    const bytes = { sent: 0, received: 0 }
    return {
      sent(count) {
        bytes.sent += count
      },
      received(count) {
        bytes.received += count
      },
      ended(status) {
        const views = viewsOf(status)
        views.completed.add()
        views.latency.observe(clock.monotonic() - start)
        views.received.observe(bytes.received)
        views.sent.observe(bytes.sent)
      },
    }
  }
}

type Kind = Exclude<keyof IpfsConnector, symbol>

/** The same connector, measured: duration and errors of each kind of call, and the blocks that go in. */
export function measuredConnector(
  ipfs: IpfsConnector,
  meter: Meter,
  clock: Pick<Clock, 'monotonic'>,
): IpfsConnector {
  const { one, many } = callMetrics(meter, clock)
  const blocks = blockMetrics(meter)
  return {
    id: options => one('id', () => ipfs.id(options)),
    pin: (pin, options) => one('pin', () => ipfs.pin(pin, options)),
    ...arePinnedOf(ipfs, one),
    unpin: (cid, options) => one('unpin', () => ipfs.unpin(cid, options)),
    pinLs: options => many('pinLs', () => ipfs.pinLs(options)),
    pinLsCid: (cid, mode, options) => one('pinLsCid', () => ipfs.pinLsCid(cid, mode, options)),
    repoStat: options => one('repoStat', () => ipfs.repoStat(options)),
    repoGC: options => many('repoGC', () => ipfs.repoGC(options)),
    resolve: (path, options) => one('resolve', () => ipfs.resolve(path, options)),
    swarmPeers: options => one('swarmPeers', () => ipfs.swarmPeers(options)),
    swarmConnect: (addresses, options) => one('swarmConnect', () => ipfs.swarmConnect(addresses, options)),
    blockStream: (source, options) =>
      one('blockStream', () => blocks.put(counted => ipfs.blockStream(counted, options), source)),
    blockGet: (cid, options) => one('blockGet', () => ipfs.blockGet(cid, options)),
    dagBlocks: (root, options) => many('dagBlocks', () => ipfs.dagBlocks(root, options)),
    hold: ipfs.hold,
    [Symbol.asyncDispose]: () => ipfs[Symbol.asyncDispose](),
  }
}

/** An optional method stays one. */
function arePinnedOf(
  { arePinned }: IpfsConnector,
  one: ReturnType<typeof callMetrics>['one'],
): Pick<IpfsConnector, 'arePinned'> {
  if (arePinned === undefined) return {}
  return { arePinned: (pins, options) => one('arePinned', () => arePinned(pins, options)) }
}

function callMetrics(meter: Meter, clock: Pick<Clock, 'monotonic'>) {
  const durations = meter.histogram(
    'ipfscluster_ipfs_request_duration_seconds',
    'Duration of calls of the IPFS daemon, by kind; a pin lasts until all is fetched',
    DURATION_BOUNDS_S,
  )
  const errors = meter.counter(
    'ipfscluster_ipfs_request_errors_total',
    'Calls of the IPFS daemon that failed, by kind and code of the error',
  )
  const durationOf = memoize(MAX_SERIES, (kind: Kind) => durations.of({ kind }))
  const begin = (kind: Kind) => {
    const start = clock.monotonic()
    const duration = durationOf(kind)
    return {
      failed: (error: unknown) => errors.add({ kind, code: errorCode(error) ?? 'OTHER' }),
      ended: () => duration.observe((clock.monotonic() - start) / 1000),
    }
  }
  return {
    async one<T>(kind: Kind, call: () => Promise<T>): Promise<T> {
      const { failed, ended } = begin(kind)
      try {
        return await call()
      } catch (error) {
        failed(error)
        throw error
      } finally {
        ended()
      }
    },
    async *many<T>(kind: Kind, call: () => AsyncIterable<T>): AsyncGenerator<T> {
      const { failed, ended } = begin(kind)
      try {
        yield* call()
      } catch (error) {
        failed(error)
        throw error
      } finally {
        ended()
      }
    },
  }
}

function blockMetrics(meter: Meter) {
  const puts = meter.counter('ipfscluster_blocks_put', 'Total number of blocks/put requests')
  const errors = meter.counter('ipfscluster_blocks_put_errors', 'Total number of block/put errors')
  const added = meter.counter('ipfscluster_blocks_added', 'Total number of blocks added')
  const size = meter.counter('ipfscluster_blocks_added_size', 'Total size of blocks added in bytes')
  for (const counter of [puts, errors, added, size]) counter.add({}, 0)
  return {
    async put(
      store: (blocks: AsyncIterable<NodeWithMeta>) => Promise<void>,
      blocks: AsyncIterable<NodeWithMeta>,
    ): Promise<void> {
      puts.add()
      try {
        await store(
          observed(blocks, block => {
            added.add()
            size.add({}, lengthOf(block))
          }),
        )
      } catch (error) {
        errors.add()
        throw error
      }
    },
  }
}

/** As `items`; who leaves does so at once, whatever the source waits for. */
function observed<T>(items: AsyncIterable<T>, onItem: (item: T) => void): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      const source = items[Symbol.asyncIterator]()
      return {
        async next() {
          const result = await source.next()
          if (result.done !== true) onItem(result.value)
          return result
        },
        return: async (value?: unknown) => (await source.return?.(value)) ?? { done: true, value },
      }
    },
  }
}

/** All pins of the daemon, counted when the listing has come to its end. */
export async function* countedPins(
  metrics: PinMetrics,
  pins: AsyncIterable<IPFSPinInfo>,
): AsyncGenerator<IPFSPinInfo> {
  let count = 0
  for await (const pin of pins) {
    count++
    yield pin
  }
  metrics.listed(count)
}
