/** Last parameter of every asynchronous call. */
export interface AbortOptions {
  readonly signal?: AbortSignal | undefined
}

/** Joins the signals that are there; `undefined` when none is. */
export function anySignal(...signals: (AbortSignal | undefined)[]): AbortSignal | undefined {
  const present = signals.filter(signal => signal !== undefined)
  return present.length < 2 ? present[0] : AbortSignal.any(present)
}

/** True for the rejection of an aborted call, whoever made the reason. */
export function isAbortError(error: unknown): boolean {
  return error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError')
}

const ONCE = { once: true }

/** Settles as `promise` does, or rejects with the signal's reason as soon as that fires. */
export function raceSignal<T>(promise: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (signal === undefined) return promise
  // By hand and not by `Promise.race`: it is waited for with each block of an add.
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    const isOver = signal.aborted
    if (isOver) onAbort()
    else signal.addEventListener('abort', onAbort, ONCE)
    const leave = () => isOver || signal.removeEventListener('abort', onAbort)
    // Whoever loses the race is heard of no more, and surfaces as no unhandled rejection.
    promise.then(
      value => {
        leave()
        resolve(value)
      },
      (error: unknown) => {
        leave()
        reject(error)
      },
    )
  })
}
