/** What a proxy passes on of a request and of an answer, and what stays between two hosts (RFC 9110 7.6). */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { drained } from '../common/index.ts'
import type { UpstreamRequest } from './types.ts'

/** Meant for one connection, not for the request. `Te` may only say that trailers are welcome. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** Whether a request has a body, be it empty. */
export function hasBody({ headers }: IncomingMessage): boolean {
  return (headers['content-length'] ?? '0') !== '0' || headers['transfer-encoding'] !== undefined
}

/**
 * The headers of a client's request as the daemon gets them: those for one connection are left out, `Host` is the client's, and
 * `X-Forwarded-For` says where the request comes from. A body keeps its length, if that is known.
 */
export function passedOn(request: IncomingMessage): Record<string, string | readonly string[]> {
  const named = namedByConnection(request)
  const headers: Record<string, string | readonly string[]> = {}
  for (const [name, values = []] of Object.entries(request.headersDistinct)) {
    // Whoever waits for "100 Continue" has been told to go on.
    if (HOP_BY_HOP.has(name) || named.has(name) || name === 'expect') continue
    // `Host` as a list would be sent twice.
    headers[name] = values.length === 1 ? (values[0] as string) : values
  }
  if (/\btrailers\b/i.test(request.headersDistinct['te']?.join() ?? '')) headers['te'] = 'trailers'
  const client = request.socket.remoteAddress
  if (client !== undefined) {
    headers['x-forwarded-for'] = [...(request.headersDistinct['x-forwarded-for'] ?? []), client].join(', ')
  }
  if (!hasBody(request)) headers['content-length'] = '0'
  else if (headers['content-length'] === undefined) headers['transfer-encoding'] = 'chunked'
  if (headers['content-length'] === '0' && /^(?:GET|HEAD|OPTIONS)$/.test(request.method ?? '')) {
    delete headers['content-length']
  }
  return headers
}

/** The headers of the daemon's answer as the client gets them: names and values in turn, as they came. */
export function passedBack(answer: IncomingMessage, request: IncomingMessage): string[] {
  const named = namedByConnection(answer)
  const headers: string[] = []
  const raw = answer.rawHeaders
  for (let i = 0; i < raw.length; i += 2) {
    const [name = '', value = ''] = [raw[i], raw[i + 1]]
    if (HOP_BY_HOP.has(name.toLowerCase()) || named.has(name.toLowerCase())) continue
    headers.push(name, value)
  }
  if (mayHaveTrailers(answer, request)) {
    for (const value of answer.headersDistinct['trailer'] ?? []) headers.push('Trailer', value)
  }
  return headers
}

/** Only behind a chunked body is there room for them. */
function mayHaveTrailers(answer: IncomingMessage, request: IncomingMessage): boolean {
  if (request.method === 'HEAD' || !takesChunks(request)) return false
  const { statusCode = 0, headers } = answer
  return statusCode !== 204 && statusCode !== 304 && headers['content-length'] === undefined
}

/** HTTP/1.0 knows bodies that end with the connection only. */
export function takesChunks({ httpVersion }: IncomingMessage): boolean {
  return httpVersion === '1.1'
}

function namedByConnection({ headersDistinct }: IncomingMessage): ReadonlySet<string> {
  const names = (headersDistinct['connection'] ?? []).join().split(',')
  return new Set(names.map(name => name.trim().toLowerCase()))
}

/** The headers of a request in the form that node:http wants. */
export function headersToSend(headers: UpstreamRequest['headers']): OutgoingHttpHeaders {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, typeof value === 'string' ? value : [...value]]),
  )
}

/** Writes what comes, as fast as the client takes it. */
export async function pump(
  body: AsyncIterable<Uint8Array>,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  for await (const chunk of body) {
    signal.throwIfAborted()
    if (!response.write(chunk)) await drained(response, signal)
  }
}
