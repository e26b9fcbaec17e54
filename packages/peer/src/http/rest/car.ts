/** The answer of `GET /allocations/{cid}/car`: an archive that must not look whole when it is not. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { CarBytes } from '@ipfs-cluster/api'
import { createStallGuard, errorMessage, type Clock } from '@ipfs-cluster/base'
import { drained, oneLine, takeTimeouts } from '../common/index.ts'

export interface CarExchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly signal: AbortSignal
  readonly clock: Clock
  /** Milliseconds in which the client must take some of the answer; 0 = none. */
  readonly writeTimeoutMs: number
  /** Names the file. */
  readonly name: string
}

/**
 * Sends an archive as it arises; an answer that moves may take any time.
 *
 * @throws what the archive fails with before anything of it has been sent; later failures end the answer.
 */
export async function serveCar(exchange: CarExchange, { car }: CarBytes): Promise<void> {
  const { request, response, signal, clock, name, writeTimeoutMs } = exchange
  const head = {
    'Content-Type': 'application/vnd.ipld.car; version=1; order=dfs; dups=n',
    'Content-Disposition': `attachment; filename="${name}.car"`,
    'X-Content-Type-Options': 'nosniff',
  }
  if (request.method === 'HEAD') {
    response.writeHead(200, head).end()
    return
  }
  takeTimeouts(request)
  using watch =
    writeTimeoutMs === 0
      ? undefined
      : createStallGuard(clock, writeTimeoutMs, () => response.writableNeedDrain)
  watch?.signal.addEventListener('abort', () => request.socket.destroy(), { once: true })
  const pieces = car[Symbol.asyncIterator]()
  try {
    // Waited for before the head goes out, so that a failure up to then has a status.
    let step = await pieces.next()
    response.writeHead(200, { ...head, Trailer: 'X-Stream-Error', 'Transfer-Encoding': 'chunked' })
    try {
      for (; step.done !== true; step = await pieces.next()) {
        if (!response.destroyed && !response.write(step.value)) await drained(response, signal)
        watch?.progress()
      }
    } catch (error) {
      signal.throwIfAborted()
      endFailed(exchange, error)
      return
    }
    response.addTrailers([['X-Stream-Error', '']])
    response.end()
  } finally {
    await pieces.return?.()
  }
}

/** Only who announces to read trailers (RFC 9110, 10.1.4) gets a well-formed end; to all others it breaks off. */
function endFailed({ request, response }: CarExchange, error: unknown): void {
  if (!/(^|,)\s*trailers\s*(,|;|$)/i.test(String(request.headers.te ?? ''))) {
    response.destroy()
    return
  }
  response.addTrailers([['X-Stream-Error', oneLine(errorMessage(error))]])
  response.end()
}
