import { asError, type Clock } from '@ipfs-cluster/base'
import { FrameWriter, MAX_CHUNK_BYTES, type FrameType } from './mux-frame.ts'
import { startTimer, type RpcStream } from './protocol.ts'

/** Frames are gathered up to here before they are sent, and no more than this waits inside the stream. Bytes. */
const BATCH_BYTES = 64 * 1024

interface Message {
  readonly type: FrameType
  readonly id: number
  readonly payload: Uint8Array
  sent: number
}

/** How much of a message had been sent when it was taken back. */
export type Dropped = 'unsent' | 'partly sent' | 'sent'

export interface OutboxLimits {
  /** Bytes that may wait for a slow reader. */
  readonly maxBytes: number
  /** How long nothing at all may be read while bytes wait. Milliseconds. */
  readonly stallMs: number
}

export interface OutboxOwner {
  /** A limit is reached; from the turn of `add` or from a timer. */
  onSlowReader(): void
  /** Everything has been handed to the stream. */
  onEmpty(): void
  /** The stream takes nothing any more. */
  onFailure(error: Error): void
}

/**
 * What waits to be sent on one stream. Everything that is added in one turn of the event loop goes out together, and payloads of
 * several calls take turns, a piece each.
 */
export class Outbox implements Disposable {
  readonly #stream: RpcStream
  readonly #clock: Clock
  readonly #limits: OutboxLimits
  readonly #owner: OutboxOwner
  readonly #frames = new FrameWriter()
  /** By call, in the order of their turns: a call has at most one message under way in each direction. */
  readonly #messages = new Map<number, Message>()
  /** Payload bytes of `#messages` that have not been handed to the stream. */
  #waiting = 0
  #handedOver = 0
  #scheduled = false
  #stall: Disposable | undefined

  constructor(stream: RpcStream, clock: Clock, limits: OutboxLimits, owner: OutboxOwner) {
    this.#stream = stream
    this.#clock = clock
    this.#limits = limits
    this.#owner = owner
    const onRoom = () => {
      if (this.#messages.size > 0) this.#schedule()
    }
    // `drain` comes with room in the window or the socket, `idle` when the stream has passed on all it held. It may still be inside
    // its own loop then, which is why sending waits for the next turn.
    stream.addEventListener('drain', onRoom)
    stream.addEventListener('idle', onRoom)
  }

  get empty(): boolean {
    return this.#messages.size === 0
  }

  /** Queues a message: one at a time for each call. */
  add(type: FrameType, id: number, payload: Uint8Array): void {
    this.#messages.set(id, { type, id, payload, sent: 0 })
    this.#waiting += payload.length
    const { size } = this.#messages
    // A single large payload may stand alone; many small messages count by their number too.
    if (size > 1 && this.#waiting + size * MESSAGE_BYTES > this.#limits.maxBytes) {
      this.#owner.onSlowReader()
    }
    this.#schedule()
  }

  /** Takes back what was not sent yet of a call's message, and tells how much of it has gone out. */
  drop(id: number): Dropped {
    const message = this.#messages.get(id)
    if (message === undefined) return 'sent'
    this.#messages.delete(id)
    this.#waiting -= message.payload.length - message.sent
    return message.sent === 0 ? 'unsent' : 'partly sent'
  }

  [Symbol.dispose](): void {
    this.#messages.clear()
    this.#waiting = 0
    this.#stall?.[Symbol.dispose]()
  }

  #schedule(): void {
    if (this.#scheduled || this.#isBlocked) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      try {
        this.#pump()
      } catch (error) {
        this.#owner.onFailure(asError(error))
      }
    })
  }

  get #isBlocked(): boolean {
    const { writableNeedsDrain, writeBufferLength } = this.#stream
    return writableNeedsDrain || writeBufferLength >= BATCH_BYTES
  }

  #pump(): void {
    // Messages with more to send are put back at the end, where this loop finds them again.
    for (const message of this.#messages.values()) {
      if (this.#isBlocked) break
      this.#take(message)
      if (this.#frames.length >= BATCH_BYTES) this.#send()
    }
    this.#send()
    if (this.#messages.size > 0) this.#watch()
    else this.#owner.onEmpty()
  }

  #take(message: Message): void {
    const { type, id, payload, sent } = message
    const end = Math.min(sent + MAX_CHUNK_BYTES, payload.length)
    const more = end < payload.length
    this.#frames.add(type, id, sent === 0 && !more ? payload : payload.subarray(sent, end), more)
    this.#waiting -= end - sent
    this.#messages.delete(id)
    if (!more) return
    message.sent = end
    this.#messages.set(id, message)
  }

  #send(): void {
    const { length } = this.#frames
    // A stream that was closed meanwhile has said so to its owner.
    if (length === 0 || this.#stream.status !== 'open') return
    this.#handedOver += length
    this.#stream.send(this.#frames.take())
  }

  /** While something waits, looks now and then whether any of it moves. */
  #watch(): void {
    if (this.#stall !== undefined) return
    const passedOn = this.#passedOn
    this.#stall = startTimer(this.#clock, this.#limits.stallMs, () => {
      this.#stall = undefined
      if (this.#messages.size === 0) return
      if (this.#passedOn === passedOn) this.#owner.onSlowReader()
      else this.#watch()
    })
  }

  get #passedOn(): number {
    return this.#handedOver - this.#stream.writeBufferLength
  }
}

/** What a queued message takes beside its payload, about. Bytes. */
const MESSAGE_BYTES = 64
