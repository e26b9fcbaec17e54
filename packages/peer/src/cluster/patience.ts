import { isAbortError, type Clock } from '@ipfs-cluster/base'

/** How long a list may make others wait: so much to begin with, and as a reserve that refills as items come. */
export interface PatienceLimits {
  /** Milliseconds. */
  readonly reserveMs: number
  /** Milliseconds that each item adds to the reserve, up to `reserveMs`. */
  readonly perItemMs: number
}

/** Aborts `signal` when more time has been waited than the reserve has. Dispose of it to stop the watch. */
export interface Patience extends Disposable {
  readonly signal: AbortSignal
  /** From now on, time counts. */
  waiting(): void
  /** The waiting is over: so many items have come. */
  came(items: number): void
}

/** How often it is looked whether somebody waits again, when nothing is left. Milliseconds. */
const IDLE_MS = 250
/** One for all: a watch is ended for each list, and an error with its stack is dear. */
const WATCH_ENDED = new DOMException('watch ended', 'AbortError')

export function createPatience(clock: Clock, { reserveMs, perItemMs }: PatienceLimits): Patience {
  const spent = new AbortController()
  const stop = new AbortController()
  let reserve = reserveMs
  let since: number | undefined
  const left = (from: number | undefined) =>
    from === undefined ? reserve : from + reserve - clock.monotonic()
  // While somebody waits, the end of the reserve only moves to later times: sleeping until it cannot be too long.
  const watch = async () => {
    while (true) {
      const from = since
      const ms = left(from)
      if (from !== undefined && ms <= 0) break
      await clock.sleep(Math.max(ms, from === undefined ? IDLE_MS : 1), { signal: stop.signal })
    }
    const rate = Math.round(1000 / perItemMs).toLocaleString('en')
    spent.abort(
      new DOMException(
        `no answer within ${reserveMs} ms, beyond which a peer has to list ${rate} pins a second`,
        'TimeoutError',
      ),
    )
  }
  watch().catch((error: unknown) => {
    // Sleep rejects only with the reason of `stop`.
    if (!isAbortError(error)) spent.abort(error)
  })
  return {
    signal: spent.signal,
    waiting: () => {
      since = clock.monotonic()
    },
    came(items) {
      reserve = Math.min(reserveMs, left(since) + items * perItemMs)
      since = undefined
    },
    [Symbol.dispose]: () => stop.abort(WATCH_ENDED),
  }
}

/** The items of a list that is opened with a signal, which fails when it makes one wait too long. */
export async function* patiently<T>(
  clock: Clock,
  limits: PatienceLimits,
  signal: AbortSignal,
  open: (signal: AbortSignal) => AsyncIterable<T>,
  countOf: (item: T) => number,
): AsyncGenerator<T> {
  using patience = createPatience(clock, limits)
  patience.waiting()
  for await (const item of open(AbortSignal.any([signal, patience.signal]))) {
    patience.came(countOf(item))
    yield item
    patience.waiting()
  }
}
