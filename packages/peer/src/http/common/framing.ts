/** What node:http lets through and Go's server, rightly, does not: heads that two servers on the way may read in two ways. */
import type { IncomingMessage } from 'node:http'

export interface Refusal {
  readonly status: number
  readonly message: string
}

/** What is wrong with the head of a request, whatever it asks for. */
export function framingProblem(request: IncomingMessage): Refusal | undefined {
  const bad = (message: string) => ({ status: 400, message: `400 Bad Request: ${message}` })
  const { httpVersion, headersDistinct } = request
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return bad('malformed HTTP version')
  const hosts = headersDistinct['host'] ?? []
  if (hosts.length > 1) return bad('too many Host headers')
  if (!/^[\w!$%&()*+,\-.:;='[\]~]*$/.test(hosts[0] ?? '')) return bad('malformed Host header')
  const codings = headersDistinct['transfer-encoding']
  if (codings === undefined) return undefined
  if (httpVersion === '1.0') return bad('HTTP/1.0 knows no Transfer-Encoding')
  if (codings.length === 1 && codings[0]?.toLowerCase() === 'chunked') return undefined
  return { status: 501, message: 'Unsupported transfer encoding' }
}
