import type { IncomingMessage } from 'node:http'
import type { Clock } from '@ipfs-cluster/base'

/** What is left of a body is read up to here; a client that sends more meets a closed connection. Bytes and milliseconds. */
const DISCARD_BYTES_MAX = 64 * 1024 * 1024
const DISCARD_MS_MAX = 5_000

/**
 * Reads and drops what is left of a body. To be awaited before an answer that closes the connection: a client that is still sending
 * then sees a broken connection instead of the answer.
 */
export async function discardRest(request: IncomingMessage, clock: Clock): Promise<void> {
  if (request.readableEnded || request.destroyed || request.socket.destroyed) return
  const { promise, resolve } = Promise.withResolvers<void>()
  let bytes = 0
  const onData = (chunk: Uint8Array) => {
    bytes += chunk.length
    if (bytes > DISCARD_BYTES_MAX) resolve()
  }
  request.unpipe()
  request.on('data', onData).once('end', resolve).once('close', resolve)
  // A request that has been answered is not told of the end of its connection.
  request.socket.once('close', resolve)
  const deadline = new AbortController()
  const timer = clock.sleep(DISCARD_MS_MAX, { signal: deadline.signal })
  try {
    request.resume()
    await Promise.race([promise, timer])
  } finally {
    deadline.abort()
    // Ended with the work it was to bound.
    await timer.catch(() => undefined)
    request.removeListener('data', onData).removeListener('end', resolve).removeListener('close', resolve)
    request.socket.removeListener('close', resolve)
  }
}
