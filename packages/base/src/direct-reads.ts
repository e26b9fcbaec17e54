import type { Clock } from './clock.ts'

/** More of them are quicker by a thread of the engine, which leaves the event loop to others. */
const MOST_KEYS = 2
/** A read that takes longer waits for the disk. Milliseconds. */
const SLOW_MS = 1
/** After such a read, for so long, all go to the engine's threads. Milliseconds. */
const THREADS_MS = 1_000

/**
 * Reads on the event loop, without the way to a thread of the engine and back: that costs 15 to 40 µs of the event loop and up to 120 µs of
 * waiting, a row whose file is in memory 3 to 8 µs. A disk that has to be waited for holds up everything else once a second at most.
 */
export class DirectReads {
  readonly #clock: Pick<Clock, 'monotonic'>
  #threadsUntil = Number.NEGATIVE_INFINITY

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
  }

  /** Whether so many keys are to be read at once. */
  suits(keys: number): boolean {
    return keys <= MOST_KEYS && this.#clock.monotonic() >= this.#threadsUntil
  }

  /** What `read` returns; how long that takes decides on the reads to come. */
  run<T>(read: () => T): T {
    const began = this.#clock.monotonic()
    try {
      return read()
    } finally {
      const ended = this.#clock.monotonic()
      if (ended - began > SLOW_MS) this.#threadsUntil = ended + THREADS_MS
    }
  }
}
