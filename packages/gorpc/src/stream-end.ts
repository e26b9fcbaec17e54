import { asError, type Clock } from '@ipfs-cluster/base'
import type { ObjectReader } from './object-reader.ts'
import { startTimer, type RpcStream } from './protocol.ts'

/** How long the other side may take to close its half after a call is over, before the stream is reset. Milliseconds. */
export const CLOSE_GRACE_MS = 10_000

/**
 * Ends our side of a call that is over, waits for the other side to do the same, and resets the stream when that takes too long.
 * Never rejects: whatever happens, the stream is closed, and nothing of it is needed any more.
 */
export async function closeGently(stream: RpcStream, reader: ObjectReader, clock: Clock): Promise<void> {
  using _ = startTimer(clock, CLOSE_GRACE_MS, () => stream.abort(new Error('the peer did not end its side')))
  reader.discard()
  try {
    await stream.close()
  } catch (error) {
    stream.abort(asError(error))
  }
  await reader.ended()
}

/** Resets the stream when the signal fires, with its reason. */
export function abortWith(stream: RpcStream, signal: AbortSignal): Disposable {
  const onAbort = () => stream.abort(asError(signal.reason))
  if (signal.aborted) onAbort()
  else signal.addEventListener('abort', onAbort, { once: true })
  return { [Symbol.dispose]: () => signal.removeEventListener('abort', onAbort) }
}
