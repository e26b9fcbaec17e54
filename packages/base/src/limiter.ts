import type { AbortOptions } from './abort.ts'

interface Waiter {
  readonly admit: () => void
}

/** At most `limit` calls at once, first come first served. */
export class Limiter {
  readonly #limit: () => number
  readonly #waiting: Waiter[] = []
  #active = 0

  /** @param limit at least 1; a function is asked whenever a call comes or ends. */
  constructor(limit: number | (() => number)) {
    this.#limit = typeof limit === 'number' ? () => limit : limit
  }

  get active(): number {
    return this.#active
  }

  get waiting(): number {
    return this.#waiting.length
  }

  /** Runs `work` when there is room. Rejects with the signal's reason when that fires while waiting. */
  async run<T>(work: () => Promise<T>, { signal }: AbortOptions = {}): Promise<T> {
    await this.#acquire(signal)
    try {
      return await work()
    } finally {
      this.#release()
    }
  }

  async #acquire(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted()
    if (this.#active < this.#limit()) {
      this.#active++
      return
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const onAbort = () => {
      const index = this.#waiting.indexOf(waiter)
      if (index >= 0) this.#waiting.splice(index, 1)
      reject(signal?.reason)
    }
    const waiter: Waiter = {
      admit: () => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      },
    }
    this.#waiting.push(waiter)
    signal?.addEventListener('abort', onAbort, { once: true })
    await promise
  }

  #release(): void {
    this.#active--
    while (this.#waiting.length > 0 && this.#active < this.#limit()) {
      this.#active++
      this.#waiting.shift()?.admit()
    }
  }
}

/** One call at a time per key; different keys do not wait for each other. */
export class KeyedLock {
  readonly #locks = new Map<string, Limiter>()

  async run<T>(key: string, work: () => Promise<T>, options: AbortOptions = {}): Promise<T> {
    let lock = this.#locks.get(key)
    if (lock === undefined) {
      lock = new Limiter(1)
      this.#locks.set(key, lock)
    }
    try {
      return await lock.run(work, options)
    } finally {
      if (lock.active === 0 && lock.waiting === 0) this.#locks.delete(key)
    }
  }
}

/**
 * Maps `source` with at most `limit` calls of `map` under way, yielding in order of completion.
 * Stops the source and waits for the calls under way when the consumer leaves or a call fails.
 */
export async function* mapConcurrent<A, B>(
  source: AsyncIterable<A> | Iterable<A>,
  limit: number,
  map: (item: A) => Promise<B>,
): AsyncGenerator<B> {
  interface Done {
    readonly value: B
    readonly call: Promise<Done>
  }
  const running = new Set<Promise<Done>>()
  const start = (item: A) => {
    const call: Promise<Done> = map(item).then(value => ({ value, call }))
    running.add(call)
  }
  const settle = async () => {
    const { value, call } = await Promise.race(running)
    running.delete(call)
    return value
  }
  try {
    for await (const item of source) {
      start(item)
      if (running.size >= limit) yield await settle()
    }
    while (running.size > 0) yield await settle()
  } finally {
    await Promise.allSettled(running)
  }
}
