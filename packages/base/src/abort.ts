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

/** Settles as `promise` does, or rejects with the signal's reason as soon as that fires. */
export async function raceSignal<T>(promise: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (signal === undefined) return await promise
  // The loser of the race must not surface as an unhandled rejection.
  promise.catch(() => undefined)
  signal.throwIfAborted()
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const onAbort = () => reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
