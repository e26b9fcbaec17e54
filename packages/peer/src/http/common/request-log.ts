import type { IncomingMessage, ServerResponse } from 'node:http'

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/**
 * One line in Apache's Common Log Format: `host - user [02/Jan/2006:15:04:05 +0000] "M URI HTTP/1.1" status size`.
 *
 * @param host the client's address, read when the request came: a request that is given up has no socket any more.
 */
export function formatRequestLog(
  request: IncomingMessage,
  response: ServerResponse,
  host: string,
  at: Date,
): string {
  const two = (value: number) => String(value).padStart(2, '0')
  const date =
    `${two(at.getUTCDate())}/${MONTHS[at.getUTCMonth()]}/${at.getUTCFullYear()}` +
    `:${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())} +0000`
  const line = `${request.method ?? '-'} ${request.url ?? '-'} HTTP/${request.httpVersion}`
  const size = response.getHeader('content-length') ?? 0
  return `${host} - - [${date}] ${JSON.stringify(line)} ${response.statusCode} ${String(size)}`
}
