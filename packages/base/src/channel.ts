import { raceSignal, type AbortOptions } from './abort.ts'

/**
 * A bounded queue between a producer and one consumer: `push` waits while it is full, reading waits while it is empty.
 * The consumer may leave early (`break`), after which `push` returns false at once.
 */
export class Channel<T> implements AsyncIterable<T> {
  readonly #limit: number
  readonly #items: T[] = []
  #ended = false
  #error: unknown
  #failed = false
  #abandoned = false
  #wakeReader: (() => void) | undefined
  #wakeWriters: (() => void)[] = []

  constructor(limit: number) {
    this.#limit = limit
  }

  get size(): number {
    return this.#items.length
  }

  /** Adds an item, waiting for room. False when nobody will read it any more. */
  async push(item: T, { signal }: AbortOptions = {}): Promise<boolean> {
    while (this.#items.length >= this.#limit && !this.#closed) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#wakeWriters.push(resolve)
      await raceSignal(promise, signal)
    }
    return this.tryPush(item)
  }

  /** Adds an item if there is room now. */
  tryPush(item: T): boolean {
    if (this.#closed || this.#items.length >= this.#limit) return false
    this.#items.push(item)
    this.#wake()
    return true
  }

  /** No more items; the reader ends after those already queued. */
  end(): void {
    this.#ended = true
    this.#wake()
    this.#releaseWriters()
  }

  /** Like `end`, but the reader then throws `error`. */
  fail(error: unknown): void {
    if (this.#ended) return
    this.#failed = true
    this.#error = error
    this.end()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    try {
      while (true) {
        if (this.#items.length > 0) {
          const item = this.#items.shift() as T
          this.#releaseWriters()
          yield item
          continue
        }
        if (this.#failed) throw this.#error
        if (this.#ended) return
        await new Promise<void>(resolve => {
          this.#wakeReader = resolve
        })
      }
    } finally {
      this.#abandoned = true
      this.#items.length = 0
      this.#releaseWriters()
    }
  }

  get #closed(): boolean {
    return this.#ended || this.#abandoned
  }

  #wake(): void {
    this.#wakeReader?.()
    this.#wakeReader = undefined
  }

  #releaseWriters(): void {
    const writers = this.#wakeWriters
    this.#wakeWriters = []
    for (const wake of writers) wake()
  }
}
