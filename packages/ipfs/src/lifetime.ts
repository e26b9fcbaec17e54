import { anySignal, type AbortOptions } from '@ipfs-cluster/base'

/** Calls under way, ended when their owner is disposed of. */
export interface Lifetime extends AsyncDisposable {
  /** `work` gets a signal that fires with the caller's or at disposal, which waits for it. */
  run<T>(options: AbortOptions | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T>
  /** The same for an iteration; disposal does not wait for a consumer that has stopped reading. */
  iterate<T>(
    options: AbortOptions | undefined,
    source: (signal: AbortSignal) => AsyncIterable<T>,
  ): AsyncIterable<T>
}

/** @param reason what calls reject with after disposal. */
export function createLifetime(reason: Error): Lifetime {
  const controller = new AbortController()
  const running = new Set<Promise<unknown>>()
  const signalFor = ({ signal }: AbortOptions = {}) =>
    anySignal(controller.signal, signal) ?? controller.signal
  const track = async <T>(work: () => Promise<T>): Promise<T> => {
    const promise = work()
    running.add(promise)
    try {
      return await promise
    } finally {
      running.delete(promise)
    }
  }
  return {
    async run(options, work) {
      const signal = signalFor(options)
      signal.throwIfAborted()
      return await track(() => work(signal))
    },
    async *iterate(options, source) {
      const signal = signalFor(options)
      signal.throwIfAborted()
      const iterator = source(signal)[Symbol.asyncIterator]()
      let ended = false
      try {
        while (true) {
          const step = await track(() => iterator.next())
          if (step.done === true) break
          yield step.value
          signal.throwIfAborted()
        }
        ended = true
      } finally {
        if (!ended) await iterator.return?.()
      }
    },
    async [Symbol.asyncDispose]() {
      controller.abort(reason)
      await Promise.allSettled(running)
    },
  }
}
