import { createServer, request as httpRequest, type IncomingMessage } from 'node:http'
import { duplexPair } from 'node:stream'
import { errorMessage, type Logger } from '@ipfs-cluster/base'
import type { HttpHandler } from '../common/index.ts'
import { ProxyError } from './errors.ts'
import { headersToSend } from './passing.ts'
import type { Upstream } from './types.ts'

/**
 * A daemon in this process, by the handler of its requests. Requests of our own reach it over connections that lead through memory, so that they have
 * all that HTTP gives them: back-pressure, trailers, an end when the signal fires.
 */
export function createHandlerUpstream(handle: HttpHandler, logger: Logger): Upstream {
  // Never listens; it is given its connections.
  const server = createServer((request, response) => {
    const left = new AbortController()
    response.once('close', () => left.abort(new DOMException('the asker left', 'AbortError')))
    handle(request, response, left.signal).catch((error: unknown) => {
      if (!left.signal.aborted)
        logger.error({ error: errorMessage(error), err: error }, 'a request of ours failed')
      response.destroy()
    })
  })
  return {
    forward: handle,
    async ask({ method, target, headers, body }, { signal }) {
      signal.throwIfAborted()
      const [ours, theirs] = duplexPair()
      const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
      const outgoing = httpRequest({
        createConnection: () => ours,
        method,
        path: target,
        headers: headersToSend(headers),
        signal,
      })
      // After the answer has begun, its reader sees the failure.
      outgoing.once('response', resolve).on('error', reject)
      server.emit('connection', theirs)
      if (body === undefined) outgoing.end()
      else body.pipe(outgoing)
      let answer: IncomingMessage
      try {
        answer = await promise
      } catch (cause) {
        signal.throwIfAborted()
        const data = { code: 'IPFS_UNREACHABLE', address: 'the built-in IPFS node' } as const
        throw new ProxyError(`the built-in IPFS node did not answer: ${errorMessage(cause)}`, data, { cause })
      }
      return {
        status: answer.statusCode ?? 0,
        headers: answer.headersDistinct,
        body: answer as AsyncIterable<Uint8Array>,
        trailers: () => answer.trailers,
        [Symbol.dispose]: () => {
          outgoing.destroy()
          theirs.destroy()
        },
      }
    },
  }
}
