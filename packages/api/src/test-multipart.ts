import type http from 'node:http'
import type { AddPart } from './route.ts'

const KINDS: Readonly<Record<string, AddPart['kind']>> = {
  'application/x-directory': 'directory',
  'application/symlink': 'symlink',
}

/** The parts of a multipart body, read as it arrives: enough for what the client of this package sends. */
export async function* parseMultipart(request: http.IncomingMessage): AsyncGenerator<AddPart> {
  const boundary = /boundary=(.+)$/.exec(request.headers['content-type'] ?? '')?.[1] ?? ''
  const source = request[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  let buffer = Buffer.from('\r\n')
  const more = async () => {
    const next = await source.next()
    if (next.done === true) throw new Error('multipart body is cut off')
    buffer = Buffer.concat([buffer, next.value])
  }
  const separator = `\r\n--${boundary}`
  async function* content(): AsyncGenerator<Uint8Array> {
    while (true) {
      const end = buffer.indexOf(separator)
      if (end >= 0) {
        if (end > 0) yield buffer.subarray(0, end)
        buffer = buffer.subarray(end)
        return
      }
      const safe = buffer.length - separator.length
      if (safe > 0) {
        yield buffer.subarray(0, safe)
        buffer = buffer.subarray(safe)
      }
      await more()
    }
  }
  while (true) {
    while (buffer.length < separator.length + 2) await more()
    if (!buffer.subarray(0, separator.length).equals(Buffer.from(separator)))
      throw new Error('boundary expected')
    if (buffer.subarray(separator.length, separator.length + 2).toString() === '--') return
    while (buffer.indexOf('\r\n\r\n') < 0) await more()
    const headerEnd = buffer.indexOf('\r\n\r\n')
    const headers = buffer.subarray(separator.length + 2, headerEnd).toString()
    buffer = buffer.subarray(headerEnd + 4)
    // An empty part ends right here: the separator's own line break is the headers' second one.
    if (buffer.length < separator.length) await more()
    const header = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(headers)?.[1]?.trim()
    const unescape = (value: string) => decodeURIComponent(value.replaceAll('+', ' '))
    const absPath = header('abspath-encoded')
    const body = content()
    yield {
      path: unescape(/filename="([^"]*)"/.exec(headers)?.[1] ?? ''),
      kind: KINDS[header('Content-Type') ?? ''] ?? 'file',
      content: body,
      ...(absPath !== undefined && { absPath: unescape(absPath) }),
    }
    for await (const _ of body);
  }
}
