import { utf8, type Clock } from '@ipfs-cluster/base'

/** Lines sent or about to be sent that have no answer yet; beyond it the source is not read. */
export const MAX_UNANSWERED = 16_384
/** Lines of one chunk of a body. */
const CHUNK_LINES = 1_024
/** Lines that come within so many milliseconds leave together. */
const GATHER_MS = 1

/** What a source gave and no peer has answered yet, so that it can be sent again. */
export interface Outbox<T> {
  /** How many have been answered. */
  readonly answered: number
  /** Everything the source had is answered. */
  readonly finished: boolean
  /** Waits for something to send; false: there is nothing more. Throws what the source threw. */
  hasMore(): Promise<boolean>
  /**
   * The lines from the first unanswered one on: ends with the source, or when `atMost` lines are sent. May be called again for another
   * attempt; the source's failure is its own.
   */
  body(atMost?: number): AsyncIterable<Uint8Array>
  /** The first unanswered one has an answer. */
  answer(): void
  /** The items instead of lines; each counts as answered when the next is asked for. */
  items(): AsyncGenerator<T>
  /** Stops reading the source. */
  close(): void
}

export function createOutbox<T>(
  source: Iterable<T> | AsyncIterable<T>,
  toLine: (item: T) => string,
  clock: Clock,
): Outbox<T> {
  let waiting: { readonly item: T; readonly line: string }[] = []
  /** Of `waiting`, those at the beginning that are answered. */
  let done = 0
  let answered = 0
  const reading = {
    ended: false,
    closed: false,
    failure: undefined as { readonly error: unknown } | undefined,
  }
  let changed = Promise.withResolvers<void>()
  const change = () => {
    changed.resolve()
    changed = Promise.withResolvers()
  }
  const size = () => waiting.length - done
  const pump = async () => {
    try {
      for await (const item of source) {
        waiting.push({ item, line: toLine(item) })
        change()
        while (size() >= MAX_UNANSWERED && !reading.closed) await changed.promise
        if (reading.closed) return
      }
    } catch (error) {
      reading.failure = { error }
    } finally {
      reading.ended = true
      change()
    }
  }
  let pumping: Promise<void> | undefined
  const start = () => void (pumping ??= pump())
  const answer = () => {
    answered++
    done++
    if (done * 2 > MAX_UNANSWERED) {
      waiting = waiting.slice(done)
      done = 0
    }
    change()
  }
  const hasMore = async () => {
    start()
    while (size() === 0 && !reading.ended) await changed.promise
    if (size() === 0 && reading.failure !== undefined) throw reading.failure.error
    return size() > 0
  }
  return {
    get answered() {
      return answered
    },
    get finished() {
      return reading.ended && size() === 0
    },
    hasMore,
    body: (atMost = Number.POSITIVE_INFINITY) => ({
      async *[Symbol.asyncIterator]() {
        start()
        const last = answered + atMost
        let next = answered
        while (next < last) {
          const there = answered + size()
          if (next >= there) {
            if (reading.ended) return
            await changed.promise
            continue
          }
          if (there - next < CHUNK_LINES && !reading.ended) await clock.sleep(GATHER_MS)
          const from = next - answered + done
          const chunk = waiting.slice(from, from + Math.min(CHUNK_LINES, last - next))
          next += chunk.length
          yield utf8(`${chunk.map(({ line }) => line).join('\n')}\n`)
        }
      },
    }),
    answer,
    async *items() {
      while (await hasMore()) {
        const first = waiting[done]
        if (first === undefined) return
        answer()
        yield first.item
      }
    },
    close() {
      reading.closed = true
      change()
    },
  }
}
