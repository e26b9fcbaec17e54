import type { IncomingMessage } from 'node:http'

export interface FormPart {
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, string>
  readonly data: Uint8Array
}

const CRLF2 = Buffer.from('\r\n\r\n')

/** The parts of a `multipart/form-data` request as they arrive, each read into memory. @throws when the body is cut short. */
export async function* readParts(request: IncomingMessage): AsyncGenerator<FormPart> {
  const boundary = /boundary="?([^";]+)/.exec(request.headers['content-type'] ?? '')?.[1]
  if (boundary === undefined) throw new Error('not a multipart request')
  const delimiter = Buffer.from(`\r\n--${boundary}`)
  // The first delimiter has no line end before it; give it one.
  let rest: Buffer = Buffer.from('\r\n')
  let first = true
  let afterDelimiter = false
  for await (const chunk of request as AsyncIterable<Buffer>) {
    rest = Buffer.concat([rest, chunk])
    while (true) {
      if (afterDelimiter) {
        if (rest.length < 2) break
        if (rest.subarray(0, 2).toString() === '--') return
      }
      const at = rest.indexOf(delimiter)
      if (at < 0) break
      if (!first) yield partOf(rest.subarray(0, at))
      first = false
      afterDelimiter = true
      rest = rest.subarray(at + delimiter.length)
    }
  }
  throw new Error('the multipart body ended before its closing boundary')
}

/** @param bytes from after the delimiter up to the next one: line end, headers, empty line, content. */
function partOf(bytes: Buffer): FormPart {
  const end = bytes.indexOf(CRLF2)
  const headers = new Map<string, string>()
  for (const line of bytes.subarray(0, end).toString('utf8').trim().split('\r\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim())
  }
  return { headers, data: Uint8Array.from(bytes.subarray(end + CRLF2.length)) }
}
