/** Requests with bodies and answers of any length. */
import type { ClientRequest, IncomingMessage } from 'node:http'
import { anySignal, createStallGuard } from '@ipfs-cluster/base'
import { IpfsError, requestFailed, timedOut } from './errors.ts'
import { failureOf, type OnBytes } from './kubo-answer.ts'
import { failureTold, type KuboCalls } from './kubo-calls.ts'
import { NoAnswer, sendRequest, type SendBody } from './kubo-request.ts'
import type { ShortRequest } from './kubo-short.ts'
import type { RequestMetrics } from './metrics.ts'

export interface KuboRequest extends ShortRequest {
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: SendBody
}

/** Makes items of an answer's body; told of the bytes that it reads. */
export type ReadAnswer<T> = (path: string, response: IncomingMessage, onBytes: OnBytes) => AsyncGenerator<T>

/** POSTs and yields what `read` makes of the answer, as it arrives. Ends well only if the daemon did. */
export async function* exchange<T>(
  calls: KuboCalls,
  path: string,
  request: KuboRequest,
  read: ReadAnswer<T>,
): AsyncGenerator<T> {
  const { clock, brake, underWay } = calls
  const { timeoutMs } = request
  // Unlike clock.timeout it leaves no timer behind: a deadline of hours would keep one for each request made since.
  using deadline = timeoutMs === undefined ? undefined : createStallGuard(clock, timeoutMs)
  const signal = anySignal(underWay.closing, request.signal, deadline?.signal) ?? underWay.closing
  using call = underWay.begin()
  const metrics = calls.measure()
  const onBytes = (count: number) => metrics.received(count)
  let outgoing: ClientRequest | undefined
  let status: number | undefined
  try {
    signal.throwIfAborted()
    await brake.pass(signal)
    const sent = await send(calls, path, request, metrics, signal)
    brake.reached()
    outgoing = sent.outgoing
    status = sent.response.statusCode
    if (status !== 200) throw await failureOf(path, sent.response, onBytes)
    for await (const item of read(path, sent.response, onBytes)) {
      call.pause()
      yield item
      call.resume()
    }
    const trailer = sent.response.trailers['x-stream-error']
    if (trailer !== undefined) throw requestFailed(path, 200, trailer)
    if (outgoing.writableFinished) outgoing = undefined
  } catch (error) {
    if (error instanceof NoAnswer && !signal.aborted) brake.failed()
    const expired = deadline?.signal.aborted === true && signal.reason === deadline.signal.reason
    if (expired && !(error instanceof IpfsError)) throw timedOut(path, timeoutMs ?? 0)
    throw signal.aborted ? signal.reason : failureTold(calls, path, error)
  } finally {
    metrics.ended(status)
    // Unless both directions ended well, the connection is of no more use.
    outgoing?.destroy()
  }
}

function send(
  { address, agent, logger, trace }: KuboCalls,
  path: string,
  { body, headers = {} }: KuboRequest,
  metrics: RequestMetrics,
  signal: AbortSignal,
) {
  logger.debug({ path }, 'posting to IPFS')
  return sendRequest({
    address,
    agent,
    path,
    headers: { ...trace(), ...headers },
    body: body && countedBody(body, metrics),
    signal,
  })
}

function countedBody(body: SendBody, metrics: Pick<RequestMetrics, 'sent'>): SendBody {
  return writer =>
    body({
      write(data, onSent) {
        metrics.sent(data.length)
        return writer.write(data, onSent)
      },
    })
}
