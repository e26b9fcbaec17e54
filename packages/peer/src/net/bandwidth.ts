import type { Stream, StreamMuxerFactory } from '@libp2p/interface'
import type { Bandwidth } from '@ipfs-cluster/api'
import type { Clock } from '@ipfs-cluster/base'

/** Time constant of the rates, in milliseconds: what is longer ago hardly counts. */
const RATE_WINDOW_MS = 1_000

interface Flow {
  total: number
  /** Bytes a second as of `at`; decays by itself. */
  rate: number
  /** Monotonic milliseconds. */
  at: number
}

/**
 * Bytes on libp2p streams by protocol (Go: `metrics.BandwidthCounter`). What it takes to agree on a
 * protocol counts for that protocol, or for the empty name when nothing came of it. There are as many protocols as this peer serves and speaks.
 */
export class BandwidthCounter {
  readonly #clock: Clock
  readonly #flows = new Map<string, { readonly in: Flow; readonly out: Flow }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Counts what passes through the stream from now on. */
  watch(stream: Stream): void {
    // What the muxer hands to the stream; a listener of `message` would make it flow before its reader is there.
    const reader = stream as unknown as { onData(data: { readonly byteLength: number }): void }
    const receive = reader.onData.bind(stream)
    const send = stream.send.bind(stream)
    const unnamed = { in: 0, out: 0 }
    const count = (direction: 'in' | 'out', bytes: number) => {
      unnamed[direction] += bytes
      if (stream.protocol !== '') this.#take(stream.protocol, unnamed)
    }
    reader.onData = data => {
      count('in', data.byteLength)
      receive(data)
    }
    stream.send = data => {
      count('out', data.byteLength)
      return send(data)
    }
    stream.addEventListener('close', () => this.#take(stream.protocol, unnamed), { once: true })
  }

  totals(): Record<string, Bandwidth> {
    return Object.fromEntries(
      [...this.#flows].map(([protocol, flows]) => [
        protocol,
        {
          totalIn: BigInt(flows.in.total),
          totalOut: BigInt(flows.out.total),
          rateIn: this.#rate(flows.in),
          rateOut: this.#rate(flows.out),
        },
      ]),
    )
  }

  #take(protocol: string, bytes: { in: number; out: number }): void {
    if (bytes.in + bytes.out === 0) return
    const flows = this.#flowsOf(protocol)
    for (const direction of ['in', 'out'] as const) {
      if (bytes[direction] > 0) this.#add(flows[direction], bytes[direction])
      bytes[direction] = 0
    }
  }

  #flowsOf(protocol: string) {
    let flows = this.#flows.get(protocol)
    if (flows === undefined) {
      const at = this.#clock.monotonic()
      flows = { in: { total: 0, rate: 0, at }, out: { total: 0, rate: 0, at } }
      this.#flows.set(protocol, flows)
    }
    return flows
  }

  #add(flow: Flow, bytes: number): void {
    flow.rate = this.#rate(flow) + (bytes * 1000) / RATE_WINDOW_MS
    flow.at = this.#clock.monotonic()
    flow.total += bytes
  }

  #rate({ rate, at }: Flow): number {
    return rate * Math.exp((at - this.#clock.monotonic()) / RATE_WINDOW_MS)
  }
}

/** A muxer whose streams, of both directions, are watched by `counter`. */
export function countedMuxer<Components>(
  create: (components: Components) => StreamMuxerFactory,
  counter: BandwidthCounter,
): (components: Components) => StreamMuxerFactory {
  return components => {
    const factory = create(components)
    const createMuxer = factory.createStreamMuxer.bind(factory)
    factory.createStreamMuxer = connection => {
      const muxer = createMuxer(connection)
      const createStream = muxer.createStream.bind(muxer)
      muxer.createStream = async options => {
        const stream = await createStream(options)
        counter.watch(stream)
        return stream
      }
      // Not the event `stream`: once it has a listener, streams that come before the connection listens are lost.
      const inbound = muxer as unknown as { onRemoteStream(stream: Stream): void }
      const onRemoteStream = inbound.onRemoteStream.bind(muxer)
      inbound.onRemoteStream = stream => {
        counter.watch(stream)
        onRemoteStream(stream)
      }
      return muxer
    }
    return factory
  }
}
