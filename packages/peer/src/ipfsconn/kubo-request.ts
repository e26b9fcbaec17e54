/** One HTTP request: sends the body under back-pressure, resolves with the head of the answer. */
import { request as httpRequest, type Agent, type ClientRequest, type IncomingMessage } from 'node:http'
import { asError, errorCode } from '@ipfs-cluster/base'
import type { NodeAddress } from './node-address.ts'

/** Writes a request body; `write` resolves when there is room for more. */
export interface BodyWriter {
  /**
   * Resolves when there is room for more.
   * @param onSent told when the system has all bytes up to here, and nobody looks at them any more; not told when that fails.
   */
  write(data: Uint8Array, onSent?: () => void): Promise<void>
}

/** Sends a body, which ends when it resolves. Its failure fails the request. */
export type SendBody = (writer: BodyWriter) => Promise<void>

export interface RequestOptions {
  readonly address: NodeAddress
  readonly agent: Agent
  /** With its query, below `/api/v0/`. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: SendBody | undefined
  readonly signal: AbortSignal
}

export interface Exchange {
  readonly outgoing: ClientRequest
  readonly response: IncomingMessage
}

/** No answer: the daemon could not be reached, or hung up before its answer. */
export class NoAnswer extends Error {}

/** The daemon closed the connection while the body was being sent. */
class HungUp extends Error {}

/**
 * Resolves with an answer of any status.
 *
 * @throws NoAnswer, the error of the body, or whatever `signal` makes of the request.
 */
export function sendRequest(options: RequestOptions): Promise<Exchange> {
  const { address, agent, body, headers, path, signal } = options
  const { promise, resolve, reject } = Promise.withResolvers<Exchange>()
  const outgoing = httpRequest({
    ...address,
    method: 'POST',
    path: `/api/v0/${path}`,
    headers: { ...headers },
    signal,
    // A streamed body cannot be sent twice, so it must not meet a connection that the daemon has just closed.
    agent: body === undefined ? agent : false,
  })
  let answered = false
  outgoing.once('response', response => {
    answered = true
    resolve({ outgoing, response })
  })
  outgoing.on('error', error => {
    // After the answer has begun, its reader sees the failure.
    if (answered || signal.aborted) return reject(error)
    const stale = outgoing.reusedSocket && /^(ECONNRESET|EPIPE)$/.test(errorCode(error) ?? '')
    if (stale) return resolve(sendRequest(options))
    reject(new NoAnswer(error.message, { cause: error }))
  })
  sendBody(outgoing, body).catch((error: unknown) => {
    // When the daemon hung up, the events above tell more: its answer, or why there is none.
    if (error instanceof HungUp) return
    reject(error)
    outgoing.destroy(asError(error))
  })
  return promise
}

async function sendBody(outgoing: ClientRequest, body: SendBody | undefined): Promise<void> {
  await body?.({
    async write(data, onSent) {
      if (outgoing.destroyed) throw new HungUp()
      const hasRoom =
        onSent === undefined ? outgoing.write(data) : outgoing.write(data, error => void (error ?? onSent()))
      if (!hasRoom) await drained(outgoing)
    },
  })
  outgoing.end()
}

function drained(outgoing: ClientRequest): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const settle = () => {
    outgoing.off('drain', settle)
    outgoing.off('close', settle)
    if (outgoing.destroyed) reject(new HungUp())
    else resolve()
  }
  outgoing.on('drain', settle)
  outgoing.on('close', settle)
  return promise
}
