import type { Clock, TaskScope } from '@ipfs-cluster/base'
import { asError, raceSignal } from '@ipfs-cluster/base'
import type { Stream } from '@libp2p/interface'
import { bitswapVersion, type BitswapVersion } from './protocols.ts'

/** Failures so close together belong to one trouble. Milliseconds. */
const FAILURE_MEMORY_MS = 10_000

export interface LinkOptions {
  readonly clock: Clock
  readonly tasks: TaskScope
  readonly drainTimeoutMs: number
  /** Opens a stream to the peer. */
  readonly open: (signal: AbortSignal) => Promise<Stream>
  readonly hasWork: () => boolean
  /** The next frame, in parts, if there is one after all. */
  readonly collect: (version: BitswapVersion) => readonly Uint8Array[] | undefined
  /**
   * The stream is lost or could not be opened, for the `count`th time in a row: what was sent may not have arrived.
   * Nothing more is sent until the next `wake`.
   */
  readonly onFailure: (error: Error, count: number) => void
}

/** One long stream to a peer, for all we have to say to it: opened when needed, reopened when lost, written as fast as it is read. */
export class Link {
  readonly #options: LinkOptions
  #stream: Stream | undefined
  #scheduled = false
  #running = false
  #closed = false
  #failures = 0
  #failedAt = 0
  /** Since when the stream takes no more. */
  #blockedSince: number | undefined
  #watching = false
  /** Why the stream went while it was being written. */
  #lost: Error | undefined
  /** A frame the last stream did not take. */
  #unsent: { readonly frame: readonly Uint8Array[]; readonly version: BitswapVersion } | undefined

  constructor(options: LinkOptions) {
    this.#options = options
  }

  /** There is work. It is picked up when the present turn of the event loop ends, so that what arises together goes together. */
  wake(): void {
    if (this.#scheduled || this.#running || this.#closed) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#options.tasks.run('bitswap link', signal => this.#run(signal))
    })
  }

  /** Sends no more; what has been handed to the stream still goes out, until `signal` fires. */
  async close(signal: AbortSignal): Promise<void> {
    this.#closed = true
    const stream = this.#stream
    if (stream === undefined) return
    this.#stream = undefined
    try {
      await stream.close({ signal })
    } catch (error) {
      stream.abort(asError(error))
    }
  }

  async #run(signal: AbortSignal): Promise<void> {
    if (this.#running) return
    this.#running = true
    let failure: Error | undefined
    try {
      while (!this.#closed && this.#lost === undefined && this.#options.hasWork()) {
        const stream = this.#stream ?? (await this.#open(signal))
        const frame = this.#nextFrame(bitswapVersion(stream.protocol))
        // Answers may have been cancelled meanwhile.
        if (frame === undefined) continue
        for (const part of frame) stream.send(part)
        this.#unsent = undefined
        if (stream.writableNeedsDrain) await this.#drained(stream, signal)
      }
    } catch (error) {
      failure = asError(error)
    } finally {
      this.#running = false
    }
    failure ??= this.#lost
    this.#lost = undefined
    if (failure !== undefined) this.#fail(failure)
  }

  #nextFrame(version: BitswapVersion): readonly Uint8Array[] | undefined {
    if (this.#unsent?.version === version) return this.#unsent.frame
    const frame = this.#options.collect(version)
    if (frame !== undefined) this.#unsent = { frame, version }
    return frame
  }

  async #open(signal: AbortSignal): Promise<Stream> {
    const stream = await this.#options.open(signal)
    if (this.#closed) {
      const stopped = new Error('bitswap stopped')
      stream.abort(stopped)
      throw stopped
    }
    this.#stream = stream
    stream.addEventListener('close', event => {
      if (this.#stream !== stream) return
      this.#stream = undefined
      const error = event.error ?? new Error('the peer closed the stream')
      if (this.#running) this.#lost = error
      else this.#fail(error)
    })
    return stream
  }

  /**
   * Waits until the stream may be written again. Not with `onDrain()`: its promise, once resolved, is never renewed, so that from the second
   * time on it would not wait (libp2p utils 7).
   */
  async #drained(stream: Stream, signal: AbortSignal): Promise<void> {
    this.#blockedSince = this.#options.clock.monotonic()
    this.#watch(stream)
    try {
      while (stream.writableNeedsDrain) {
        if (stream.status !== 'open') throw new Error(`the stream is ${stream.status}`)
        await nextEvent(stream, ['drain', 'close'], signal)
      }
    } finally {
      this.#blockedSince = undefined
    }
  }

  /** Resets a stream that has been blocked for too long. One timer for many short waits. */
  #watch(stream: Stream): void {
    if (this.#watching) return
    this.#watching = true
    const { clock, tasks, drainTimeoutMs } = this.#options
    tasks.run('bitswap drain watch', async signal => {
      try {
        while (this.#blockedSince !== undefined) {
          await clock.sleep(drainTimeoutMs / 4, { signal })
          const blockedSince = this.#blockedSince
          if (blockedSince !== undefined && clock.monotonic() - blockedSince >= drainTimeoutMs) {
            stream.abort(new Error(`the peer took no data for ${drainTimeoutMs} ms`))
            return
          }
        }
      } finally {
        this.#watching = false
      }
    })
  }

  #fail(error: Error): void {
    if (this.#closed) return
    const now = this.#options.clock.monotonic()
    if (now - this.#failedAt > FAILURE_MEMORY_MS) this.#failures = 0
    this.#failedAt = now
    this.#failures++
    const stream = this.#stream
    this.#stream = undefined
    stream?.abort(error)
    this.#options.onFailure(error, this.#failures)
  }
}

async function nextEvent(
  stream: Stream,
  names: readonly ('drain' | 'close')[],
  signal: AbortSignal,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const listener = () => resolve()
  for (const name of names) stream.addEventListener(name, listener)
  try {
    await raceSignal(promise, signal)
  } finally {
    for (const name of names) stream.removeEventListener(name, listener)
  }
}
