import { setTimeout as delay } from 'node:timers/promises'
import { errorMessage } from '@ipfs-cluster/base'

export interface WaitOptions {
  /** @default 10_000 */
  readonly timeoutMs?: number
  /** Pause between two looks. @default 10 */
  readonly intervalMs?: number
  /** What is awaited, for the error. */
  readonly what?: string
}

/**
 * Resolves with the first value of `condition` that is neither false nor `undefined`. A throwing condition counts as not yet, so
 * assertions may be awaited; the last failure is in the error.
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  { timeoutMs = 10_000, intervalMs = 10, what = 'the condition' }: WaitOptions = {},
): Promise<Exclude<T, false | undefined>> {
  const end = performance.now() + timeoutMs
  let failure: unknown
  while (true) {
    try {
      const value = await condition()
      if (value !== false && value !== undefined) return value as Exclude<T, false | undefined>
      failure = undefined
    } catch (error) {
      failure = error
    }
    if (performance.now() > end) {
      const why = failure === undefined ? '' : `: ${errorMessage(failure)}`
      throw new Error(`${what} did not come true within ${timeoutMs} ms${why}`, { cause: failure })
    }
    await delay(intervalMs)
  }
}
