import { EMPTY_BYTES } from '@ipfs-cluster/base'
import { MAX_DISCARDED_BYTES } from './limits.ts'
import { MsgpackError } from './msgpack-error.ts'
import { MsgpackReader } from './msgpack-reader.ts'
import { ObjectScanner } from './msgpack-scanner.ts'
import type { RpcStream } from './protocol.ts'

/** Unread bytes at which the sender is asked to pause, while nobody waits for an object. */
const PAUSE_AT_BYTES = 256 * 1024
/**
 * Bytes that a paused stream may still receive: libp2p resets the stream beyond it. A yamux window grows to 16 MiB, and the
 * sender may use all of it before it notices the pause.
 */
const MAX_PAUSED_BYTES = 17 * 1024 * 1024

type MessageData = { readonly byteLength: number; subarray(): Uint8Array }

/** What a server wants to know of a caller's bytes. */
export interface ReaderWatch {
  /** So many bytes more, or less when negative, are kept until somebody takes them. */
  hold(bytes: number): void
  /** The stream was reset: more came than it was allowed to bring. */
  onExcess(): void
}

/**
 * Takes msgpack objects out of a stream one by one. It holds one object and what arrived behind it, never the whole stream.
 *
 * Must be made in the same turn in which the stream was handed over: data and even the end may already be there, and libp2p tells of
 * them only once (interop.md 3.1).
 */
export class ObjectReader {
  readonly #stream: RpcStream
  readonly #watch: ReaderWatch | undefined
  /** Of unread bytes, those that the watch knows of. */
  #held = 0
  /** Bytes that may still arrive. */
  #allowance = Number.POSITIVE_INFINITY
  /** The unread bytes are those from `#start` to `#end`. What was handed out as a view is never written again. */
  #bytes: Uint8Array = EMPTY_BYTES
  #start = 0
  #end = 0
  #scanner = new ObjectScanner()
  /** The peer closed its writing side properly; as opposed to a lost connection. */
  #finished: boolean
  #closed = false
  #error: Error | undefined
  #reading = false
  #discarding = false
  #wake: (() => void) | undefined

  constructor(stream: RpcStream, watch?: ReaderWatch) {
    this.#stream = stream
    this.#watch = watch
    stream.maxReadBufferLength = MAX_PAUSED_BYTES
    const isOpen = stream.status === 'open' || stream.status === 'closing'
    this.#finished = isOpen && stream.remoteWriteStatus === 'closed'
    stream.addEventListener('message', event => {
      this.#onData(event.data)
      this.#notify()
    })
    stream.addEventListener('remoteCloseWrite', () => {
      this.#finished = true
      this.#notify()
    })
    stream.addEventListener('end', () => this.#notify())
    stream.addEventListener('close', event => this.#onClose(event.error))
    // Over before we were told: then it was closed without an event for us.
    if (!isOpen) this.#onClose(stream.status === 'reset' ? new Error('stream reset') : undefined)
  }

  /** True when the stream is over in both directions, well or badly. */
  get closed(): boolean {
    return this.#closed
  }

  /**
   * The next object if all of it has arrived.
   *
   * @throws MsgpackError when it is not msgpack or more than `maxBytes` long; nothing can be read after that.
   */
  poll(maxBytes: number): MsgpackReader | undefined {
    if (!this.#scanner.scan(this.#bytes, this.#start, this.#end, maxBytes)) return undefined
    const start = this.#start
    this.#start += this.#scanner.length
    this.#scanner = new ObjectScanner()
    this.#hold()
    return new MsgpackReader(this.#bytes, start, this.#start)
  }

  /**
   * Waits for the next object; `undefined` when the peer ended its side between two objects.
   *
   * @throws MsgpackError as `poll`, and when the peer ended its side inside an object; what the stream was reset with.
   */
  async next(maxBytes: number): Promise<MsgpackReader | undefined> {
    this.#reading = true
    try {
      while (true) {
        const object = this.poll(maxBytes)
        if (object !== undefined) return object
        if (this.#error !== undefined) throw this.#error
        if (this.#ended) break
        await this.#more()
      }
    } finally {
      this.#reading = false
    }
    if (this.#start === this.#end) return undefined
    throw new MsgpackError(
      `the stream ended inside an object, after ${this.#end - this.#start} bytes of it`,
      {
        code: 'MSGPACK_TRUNCATED',
        offset: this.#end - this.#start,
      },
    )
  }

  /** Passes over `expected` if these bytes, whole objects, have arrived and are next. */
  tryBytes(expected: Uint8Array): boolean {
    if (this.#scanner.length > 0) return false
    if (!new MsgpackReader(this.#bytes, this.#start, this.#end).tryBytes(expected)) return false
    this.#start += expected.length
    this.#hold()
    return true
  }

  /** From now on, no more than `bytes` may arrive, or the stream is reset. */
  allow(bytes: number): void {
    this.#allowance = bytes
  }

  /** From now on, everything that arrives is dropped, up to `MAX_DISCARDED_BYTES`. */
  discard(): void {
    this.#discarding = true
    this.#bytes = EMPTY_BYTES
    this.#start = 0
    this.#end = 0
    this.#hold()
    this.allow(MAX_DISCARDED_BYTES)
    this.#resume()
  }

  /** Resolves when the peer has ended its side or the stream is over. Only after `discard`. */
  async ended(): Promise<void> {
    while (!this.#ended && !this.#closed) await this.#more()
  }

  get #ended(): boolean {
    return this.#finished && this.#stream.readBufferLength === 0
  }

  async #more(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#wake = resolve
    this.#resume()
    await promise
  }

  #onData(data: MessageData): void {
    this.#allowance -= data.byteLength
    if (this.#allowance < 0) {
      this.#watch?.onExcess()
      return this.#stream.abort(new Error('the peer sent more than the call may have'))
    }
    if (this.#discarding) return
    this.#take(data)
    this.#hold()
  }

  /** Tells the watch what has changed. */
  #hold(): void {
    const unread = this.#end - this.#start
    if (unread === this.#held) return
    this.#watch?.hold(unread - this.#held)
    this.#held = unread
  }

  #take(data: MessageData): void {
    const view = data.subarray()
    // Not a Node Buffer, whose `slice` would not copy.
    const chunk = new Uint8Array(view.buffer, view.byteOffset, view.length)
    if (this.#start === this.#end) {
      this.#bytes = chunk
      this.#start = 0
      this.#end = chunk.length
    } else {
      this.#append(chunk)
    }
    const unread = this.#end - this.#start
    if (!this.#reading && unread >= PAUSE_AT_BYTES && this.#stream.readStatus === 'readable') {
      this.#stream.pause()
    }
  }

  #append(chunk: Uint8Array): void {
    if (this.#end + chunk.length > this.#bytes.length) {
      const unread = this.#end - this.#start
      const grown = new Uint8Array(2 * (unread + chunk.length))
      grown.set(this.#bytes.subarray(this.#start, this.#end))
      this.#bytes = grown
      this.#start = 0
      this.#end = unread
    }
    this.#bytes.set(chunk, this.#end)
    this.#end += chunk.length
  }

  #resume(): void {
    if (this.#stream.readStatus === 'paused') this.#stream.resume()
  }

  #onClose(error: Error | undefined): void {
    this.#closed = true
    if (error !== undefined) this.#error = error
    else if (!this.#finished) this.#error = new Error('the connection was lost')
    this.#notify()
  }

  #notify(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }
}
