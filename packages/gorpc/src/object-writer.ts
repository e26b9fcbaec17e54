import { asError, type Clock } from '@ipfs-cluster/base'
import { MsgpackWriter } from './msgpack-writer.ts'
import { Uint8ArrayList } from 'uint8arraylist'
import { startTimer, type RpcStream } from './protocol.ts'

/** Objects are gathered up to here before they are sent. Bytes: large enough that a frame's cost no longer counts. */
const BATCH_BYTES = 32 * 1024

/** What a server does about a caller that does not read. */
export interface WriterPatience {
  readonly clock: Clock
  /** How long nothing at all may be read while something waits. Milliseconds. */
  readonly stallMs: number
  onStall(): void
}

/** Puts msgpack objects into a stream: gathered while they come quickly, and no faster than the stream takes them. */
export class ObjectWriter {
  readonly #stream: RpcStream
  readonly #objects = new MsgpackWriter()
  readonly #patience: WriterPatience | undefined
  #scheduled = false
  #sent = 0
  #error: Error | undefined

  /** @param patience without it, the stream's reader may take as long as it wants. */
  constructor(stream: RpcStream, patience?: WriterPatience) {
    this.#stream = stream
    this.#patience = patience
  }

  /** Bytes that were added and not sent. */
  get length(): number {
    return this.#objects.length
  }

  /** Adds what `encode` writes, to be sent later. When it throws, nothing is added. */
  add(encode: (writer: MsgpackWriter) => void): void {
    const before = this.#objects.length
    try {
      encode(this.#objects)
    } catch (error) {
      this.#objects.truncate(before)
      throw error
    }
  }

  /**
   * Sees to it that what was added is sent: soon if there is little and the stream has room, else now, waiting for room.
   *
   * @throws when the stream is closed for writing.
   */
  async advance(): Promise<void> {
    if (this.#objects.length >= BATCH_BYTES || this.#isFull) return await this.flush()
    if (this.#scheduled) return
    this.#scheduled = true
    // After everything that is ready in this turn of the event loop has been added.
    setImmediate(() => {
      this.#scheduled = false
      try {
        this.#send()
      } catch (error) {
        this.#error = asError(error)
      }
    })
  }

  /** Sends what was added and waits until the stream has room again. @throws when the stream is closed for writing. */
  async flush(): Promise<void> {
    this.#send()
    if (!this.#isFull) return
    using _ = this.#patience === undefined ? undefined : this.#watch(this.#patience)
    while (this.#isFull) await this.#drained()
  }

  /**
   * By the bytes that wait too: a stream says `drain` when its connection has room, although its own window may be empty, and would gather
   * a batch at each.
   */
  get #isFull(): boolean {
    return this.#stream.writableNeedsDrain || this.#stream.writeBufferLength >= BATCH_BYTES
  }

  /** Tells of a stall as long as it is not disposed. */
  #watch(patience: WriterPatience): Disposable {
    const { clock, stallMs, onStall } = patience
    const passedOn = () => this.#sent - this.#stream.writeBufferLength
    let before = passedOn()
    const onTimer = () => {
      if (passedOn() === before) return onStall()
      before = passedOn()
      timer = startTimer(clock, stallMs, onTimer)
    }
    let timer = startTimer(clock, stallMs, onTimer)
    return { [Symbol.dispose]: () => timer[Symbol.dispose]() }
  }

  #send(): void {
    if (this.#error !== undefined) throw this.#error
    if (this.#objects.length === 0) return
    this.#sent += this.#objects.length
    const pieces = this.#objects.takePieces()
    const [only] = pieces
    this.#stream.send(pieces.length === 1 && only !== undefined ? only : new Uint8ArrayList(...pieces))
  }

  /** Not `stream.onDrain()`: its promise is made once and stays resolved after the first time. */
  async #drained(): Promise<void> {
    const stream = this.#stream
    if (stream.status !== 'open') throw new Error(`the stream is ${stream.status}`)
    const { promise, resolve } = Promise.withResolvers<void>()
    const onEvent = () => resolve()
    stream.addEventListener('drain', onEvent)
    stream.addEventListener('idle', onEvent)
    stream.addEventListener('close', onEvent)
    try {
      await promise
    } finally {
      stream.removeEventListener('drain', onEvent)
      stream.removeEventListener('idle', onEvent)
      stream.removeEventListener('close', onEvent)
    }
  }
}
