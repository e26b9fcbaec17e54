/** Reading what Kubo answers: errors, whole bodies within a limit, and JSON objects one a line. */
import type { IncomingMessage } from 'node:http'
import { concatBytes, utf8Text } from '@ipfs-cluster/base'
import { badAnswer, IpfsError, requestFailed } from './errors.ts'

/** Largest answer read into memory, in bytes; streams are not bound by it. */
export const MAX_ANSWER_BYTES = 64 * 1024 * 1024

/** Told of every piece of a body. */
export type OnBytes = (count: number) => void

/** How an answer with another status than 200 explains itself. */
export async function failureOf(
  path: string,
  response: IncomingMessage,
  onBytes?: OnBytes,
): Promise<IpfsError> {
  const status = response.statusCode ?? 0
  return failureOfBody(
    path,
    status,
    utf8Text(concatBytes(await Array.fromAsync(limited(path, response, onBytes)))),
  )
}

/** The same, when the body is there. */
export function failureOfBody(path: string, status: number, body: string): IpfsError {
  const message = messageOf(body)
  if (message !== undefined) return requestFailed(path, status, message)
  return new IpfsError(`IPFS request failed (is it running?) (${path}). Code ${status}: ${body}`, {
    code: 'IPFS_REQUEST_FAILED',
    path,
    status,
    text: body,
  })
}

/** The daemon's own words in an error; `undefined` when the body is none of its errors. */
export function messageOf(body: string): string | undefined {
  try {
    const value: unknown = JSON.parse(body)
    if (typeof value !== 'object' || value === null) return undefined
    return 'Message' in value && typeof value.Message === 'string' ? value.Message : ''
  } catch {
    // Not JSON: a proxy or something else answered; the caller shows the body.
    return undefined
  }
}

/** The pieces of an answer. @throws IpfsError when it is larger than the limit. */
export async function* limited(
  path: string,
  response: IncomingMessage,
  onBytes?: OnBytes,
): AsyncGenerator<Uint8Array> {
  let length = 0
  for await (const part of response as AsyncIterable<Uint8Array>) {
    length += part.length
    onBytes?.(part.length)
    if (length > MAX_ANSWER_BYTES)
      throw badAnswer(path, `the answer is larger than ${MAX_ANSWER_BYTES} bytes`)
    yield part
  }
}

/** An answer as it comes. */
export async function* pieces(
  _path: string,
  response: IncomingMessage,
  onBytes?: OnBytes,
): AsyncGenerator<Uint8Array> {
  for await (const part of response as AsyncIterable<Uint8Array>) {
    onBytes?.(part.length)
    yield part
  }
}

/** The objects of an answer, as they come. @throws IpfsError for one that is an error, or is no JSON. */
export async function* jsonLines(
  path: string,
  response: IncomingMessage,
  onBytes?: OnBytes,
): AsyncGenerator<unknown> {
  response.setEncoding('utf8')
  let rest = ''
  for await (const text of response as AsyncIterable<string>) {
    onBytes?.(Buffer.byteLength(text))
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line.trim() !== '') yield parseLine(path, line)
  }
  if (rest.trim() !== '') yield parseLine(path, rest)
}

/** Kubo reports a failure in mid-stream as a trailer or, older ones, as an error object among the others. */
export function parseLine(path: string, line: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (cause) {
    throw badAnswer(path, `not JSON: ${line.slice(0, 200)}`, cause)
  }
  if (typeof value === 'object' && value !== null && 'Type' in value && value.Type === 'error') {
    throw requestFailed(path, 200, messageOf(line) ?? '')
  }
  return value
}

/** A field of a decoded JSON object; `undefined` when there is none. */
export function field(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  return (value as Readonly<Record<string, unknown>>)[name]
}
