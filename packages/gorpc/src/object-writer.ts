import { asError } from '@ipfs-cluster/base'
import { MsgpackWriter } from './msgpack-writer.ts'
import type { RpcStream } from './protocol.ts'

/** Objects are gathered up to here before they are sent. Bytes: large enough that a frame's cost no longer counts. */
const BATCH_BYTES = 32 * 1024

/** Puts msgpack objects into a stream: gathered while they come quickly, and no faster than the stream takes them. */
export class ObjectWriter {
  readonly #stream: RpcStream
  readonly #objects = new MsgpackWriter()
  #scheduled = false
  #error: Error | undefined

  constructor(stream: RpcStream) {
    this.#stream = stream
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
    if (this.#objects.length >= BATCH_BYTES || this.#stream.writableNeedsDrain) return await this.flush()
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
    while (this.#stream.writableNeedsDrain) await this.#drained()
  }

  #send(): void {
    if (this.#error !== undefined) throw this.#error
    if (this.#objects.length > 0) this.#stream.send(this.#objects.take())
  }

  /** Not `stream.onDrain()`: its promise is made once and stays resolved after the first time. */
  async #drained(): Promise<void> {
    const stream = this.#stream
    if (stream.status !== 'open') throw new Error(`the stream is ${stream.status}`)
    const { promise, resolve } = Promise.withResolvers<void>()
    const onEvent = () => resolve()
    stream.addEventListener('drain', onEvent)
    stream.addEventListener('close', onEvent)
    try {
      await promise
    } finally {
      stream.removeEventListener('drain', onEvent)
      stream.removeEventListener('close', onEvent)
    }
  }
}
