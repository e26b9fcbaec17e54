import { asError, type Clock } from '@ipfs-cluster/base'
import { FrameError, FrameReader, type Frame, type FrameType } from './mux-frame.ts'
import { Outbox, type Dropped, type OutboxLimits } from './outbox.ts'
import { startTimer, type RpcStream } from './protocol.ts'
import { CLOSE_GRACE_MS } from './stream-end.ts'

export interface WireOwner {
  onFrame(frame: Frame): void
  /** The other side sends no more. */
  onEnd(): void
  /** Once: the stream is over, with what ended it. */
  onClose(error: Error): void
  /** The stream is about to be reset for this reason. */
  onRefusal(reason: string): void
}

export interface WireLimits extends OutboxLimits {
  /** How long a frame may stay unfinished; noticed within twice that. Milliseconds. */
  readonly frameMs: number
}

/**
 * One stream of `MUX_PROTOCOL`, from either side. Must be made in the same turn in which the stream was handed over: data and even the
 * end may already be there, and libp2p tells of them only once (interop.md 3.1).
 */
export class MuxWire {
  readonly #stream: RpcStream
  readonly #clock: Clock
  readonly #owner: WireOwner
  readonly #limits: WireLimits
  readonly #frames = new FrameReader()
  readonly #outbox: Outbox
  #framesSeen = 0
  #watching: Disposable | undefined
  #closing = false
  #closed = false

  constructor(stream: RpcStream, clock: Clock, owner: WireOwner, limits: WireLimits) {
    this.#stream = stream
    this.#clock = clock
    this.#owner = owner
    this.#limits = limits
    this.#outbox = new Outbox(stream, clock, limits, {
      onSlowReader: () =>
        this.refuse('slow_reader', new Error('rpc: too much waits for a peer that does not read')),
      onEmpty: () => this.#finish(),
      onFailure: error => this.abort(error),
    })
    stream.addEventListener('message', ({ data }) => this.#take(data.subarray()))
    stream.addEventListener('remoteCloseWrite', () => owner.onEnd())
    stream.addEventListener('close', event => this.#onClose(event.error))
    // What happened before is told once this turn is over, when the owner is ready to hear of it.
    queueMicrotask(() => this.#catchUp())
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Frames that have arrived so far. */
  get framesSeen(): number {
    return this.#framesSeen
  }

  send(type: FrameType, id: number, payload: Uint8Array): void {
    if (!this.#closed) this.#outbox.add(type, id, payload)
  }

  /** As `Outbox.drop`. */
  drop(id: number): Dropped {
    return this.#outbox.drop(id)
  }

  /** Resets the stream because of what the other side did. */
  refuse(reason: string, error: Error): void {
    if (this.#closed) return
    this.#owner.onRefusal(reason)
    this.abort(error)
  }

  /** Resets the stream. The owner hears of it before this returns. */
  abort(error: Error): void {
    this.#onClose(error)
    this.#stream.abort(error)
  }

  /** Ends our side once everything is sent, and resets the stream when the other side does not end its own in time. */
  close(): void {
    if (this.#closing || this.#closed) return
    this.#closing = true
    this.#watching?.[Symbol.dispose]()
    this.#watching = startTimer(this.#clock, CLOSE_GRACE_MS, () =>
      this.abort(new Error('the peer did not end its side')),
    )
    this.#finish()
  }

  #finish(): void {
    if (!this.#closing || this.#closed || !this.#outbox.empty) return
    this.#stream.close().catch((error: unknown) => this.abort(asError(error)))
  }

  #catchUp(): void {
    const { status, remoteWriteStatus } = this.#stream
    if (status !== 'open' && status !== 'closing') {
      this.#onClose(status === 'reset' ? new Error('stream reset') : undefined)
    } else if (remoteWriteStatus === 'closed') this.#owner.onEnd()
  }

  #take(bytes: Uint8Array): void {
    try {
      // Not a Node Buffer, whose `slice` would not copy.
      this.#frames.push(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length), frame => {
        this.#framesSeen++
        // What stands behind the frame for which the stream was reset does not count.
        if (!this.#closed) this.#owner.onFrame(frame)
      })
    } catch (error) {
      if (!(error instanceof FrameError)) return this.abort(asError(error))
      this.refuse(error.code === 'FRAME_TOO_LARGE' ? 'too_large' : 'malformed', error)
    }
    if (this.#frames.partial) this.#watchFrame()
  }

  /** One timer for all unfinished frames, which are as common as reads of a busy stream. */
  #watchFrame(): void {
    if (this.#watching !== undefined || this.#closed) return
    const seen = this.#framesSeen
    this.#watching = startTimer(this.#clock, this.#limits.frameMs, () => {
      this.#watching = undefined
      if (!this.#frames.partial) return
      if (this.#framesSeen === seen) {
        this.refuse('slow_request', new Error(`a frame was not whole within ${this.#limits.frameMs} ms`))
      } else this.#watchFrame()
    })
  }

  #onClose(error: Error | undefined): void {
    if (this.#closed) return
    this.#closed = true
    this.#watching?.[Symbol.dispose]()
    this.#outbox[Symbol.dispose]()
    this.#owner.onClose(
      error ?? new Error(this.#closing ? 'the stream is closed' : 'the connection was lost'),
    )
  }
}
