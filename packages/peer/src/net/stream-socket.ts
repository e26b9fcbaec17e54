import { Duplex } from 'node:stream'
import { callbackify } from 'node:util'
import type { Stream, StreamMessageEvent } from '@libp2p/interface'
import { asError, type Clock } from '@ipfs-cluster/base'
import type { PeerId } from '@ipfs-cluster/api'

/** How long the other side may take to read what is left and to end its side, after ours is done, before the stream is reset. */
const LINGER_MS = 10_000

export interface StreamSocketOptions {
  readonly clock: Clock
  /** Who is at the other end. */
  readonly peer: PeerId
  /**
   * What becomes of the other side when this one is destroyed before it has ended: `close` sends what is left and an orderly end, as a TCP
   * socket does; `reset` tells it at once that nobody listens any more.
   */
  readonly onDestroy: 'close' | 'reset'
}

/**
 * A libp2p stream as the socket that `node:http` expects: besides a Duplex it needs `remoteAddress` (as in Go, the peer id), `setTimeout`
 * for the idle time-outs, and `destroySoon`. Without the latter two, node:http would leave them out silently.
 *
 * Listeners are added at once: what has arrived before, even the end, is not told again by libp2p.
 */
export class StreamSocket extends Duplex {
  readonly remoteAddress: PeerId
  readonly #stream: Stream
  readonly #clock: Clock
  readonly #onDestroy: StreamSocketOptions['onDestroy']
  /** The call back of a write that waits for room. */
  #waiting: ((error?: Error) => void) | undefined
  #readEnded = false
  #timer: AbortController | undefined
  #idleMs = 0
  #activeAt: number

  constructor(stream: Stream, { clock, peer, onDestroy }: StreamSocketOptions) {
    super()
    this.remoteAddress = peer
    this.#stream = stream
    this.#clock = clock
    this.#onDestroy = onDestroy
    this.#activeAt = clock.monotonic()
    stream.addEventListener('message', ({ data }) => this.#take(data))
    for (const event of ['remoteCloseWrite', 'end'] as const) {
      stream.addEventListener(event, () => this.#checkEnd())
    }
    stream.addEventListener('close', ({ error }) => {
      if (error === undefined) this.#checkEnd()
      else this.destroy(error)
    })
    for (const event of ['drain', 'idle'] as const) stream.addEventListener(event, () => this.#continue())
    this.#checkEnd()
  }

  /** Emits `timeout` when nothing has been read or written for `ms`; 0 for never. */
  setTimeout(ms: number): this {
    this.#idleMs = ms
    this.#activeAt = this.#clock.monotonic()
    this.#timer?.abort()
    this.#timer = undefined
    if (ms > 0 && !this.destroyed) void this.#watch((this.#timer = new AbortController()))
    return this
  }

  /** Ends once everything is written. */
  destroySoon(): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', () => this.destroy())
  }

  override _read(): void {
    if (this.#stream.readStatus === 'paused') this.#stream.resume()
    this.#checkEnd()
  }

  override _write(chunk: Uint8Array, _encoding: string, callback: (error?: Error | null) => void): void {
    this.#activeAt = this.#clock.monotonic()
    try {
      this.#stream.send(chunk)
    } catch (error) {
      callback(asError(error))
      return
    }
    if (this.#stream.writableNeedsDrain) this.#waiting = callback
    else callback()
  }

  /** Head and body of an answer in one frame. */
  override _writev(
    chunks: readonly { readonly chunk: Uint8Array }[],
    callback: (error?: Error | null) => void,
  ): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), '', callback)
  }

  override _final(callback: (error?: Error | null) => void): void {
    callbackify(async () => await this.#stream.close())(error => callback(error))
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#timer?.abort()
    this.#waiting?.(error ?? new Error('the stream is closed'))
    this.#waiting = undefined
    if (this.#stream.status === 'open') {
      if (this.#onDestroy === 'reset' && !this.writableFinished) {
        this.#stream.abort(error ?? new Error('given up'))
      } else {
        void this.#linger()
      }
    }
    callback(error)
  }

  /** Never rejects; in the end the stream is closed. */
  async #linger(): Promise<void> {
    const stream = this.#stream
    const closed = new AbortController()
    stream.addEventListener('close', () => closed.abort(), { once: true })
    this.#clock.sleep(LINGER_MS, { signal: closed.signal }).then(
      () => stream.abort(new Error('the other side did not end the stream')),
      () => {
        // Closed in time: the only reason for which a sleep rejects.
      },
    )
    try {
      await stream.closeRead()
      await stream.close()
    } catch (error) {
      stream.abort(asError(error))
    }
  }

  #take(data: StreamMessageEvent['data']): void {
    this.#activeAt = this.#clock.monotonic()
    if (this.destroyed) return
    if (!this.push(data.subarray()) && this.#stream.readStatus === 'readable') this.#stream.pause()
    this.#checkEnd()
  }

  /** The end is told by no event when it came with the data, before somebody listened. */
  #checkEnd(): void {
    const { remoteWriteStatus, readBufferLength } = this.#stream
    if (this.#readEnded || this.destroyed || remoteWriteStatus !== 'closed' || readBufferLength > 0) return
    this.#readEnded = true
    this.push(null)
  }

  #continue(): void {
    if (this.#stream.writableNeedsDrain) return
    const callback = this.#waiting
    this.#waiting = undefined
    callback?.()
  }

  async #watch({ signal }: AbortController): Promise<void> {
    try {
      for (let left = this.#idleMs; left > 0; left = this.#idleMs - this.#idleFor()) {
        await this.#clock.sleep(left, { signal })
      }
    } catch {
      // Another time-out was set, or the stream is over.
      return
    }
    this.emit('timeout')
  }

  #idleFor(): number {
    return this.#clock.monotonic() - this.#activeAt
  }
}
