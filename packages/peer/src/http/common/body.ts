import type { IncomingMessage } from 'node:http'
import { CodedError } from '@ipfs-cluster/base'

/**
 * The text of a request's body; empty when it has none.
 *
 * @throws CodedError `BAD_PARAMETER` when it has more than `maxBytes`; what is left of it is not read.
 */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<string> {
  if (!hasBody(request)) return ''
  const chunks: Uint8Array[] = []
  let length = 0
  // Left early, the request must live on: its connection is needed for the answer, and for the request after it.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
    length += chunk.length
    if (length > maxBytes)
      throw new CodedError(`the request body is larger than ${maxBytes} bytes`, { code: 'BAD_PARAMETER' })
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** Most requests have none, and reading nothing costs as much as routing. */
function hasBody({ headers }: IncomingMessage): boolean {
  return (headers['content-length'] ?? '0') !== '0' || headers['transfer-encoding'] !== undefined
}
