/** HTTP/1.1 as bytes: what was sent is exactly what a test says, and what came back is kept as it came. */
import { connect, type Socket } from 'node:net'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'

export interface RawResponse {
  readonly status: number
  readonly reason: string
  /** In order, with the case of their names. */
  readonly headers: readonly (readonly [string, string])[]
  readonly body: string
  /** Data per chunk, when the body was chunked. */
  readonly chunks?: readonly string[]
  readonly trailers: readonly (readonly [string, string])[]
  /** The body ended as its framing said. */
  readonly whole: boolean
}

export interface Conversation {
  readonly responses: readonly RawResponse[]
  /** What came and is no response. */
  readonly rest: string
  /** Whether the server has closed the connection, waiting so long for it. */
  closed(ms: number): Promise<boolean>
  [Symbol.dispose](): void
}

export interface Sent {
  readonly bytes: Uint8Array
  /** One a response that is waited for: that of HEAD has no body. */
  readonly methods: readonly string[]
  /** Ends our side after sending. */
  readonly halfClose?: boolean
}

const CRLF = '\r\n'

/** Sends the bytes on a connection of its own and reads as many responses as there are methods, or until the end, or the time limit. */
export async function converse(port: number, sent: Sent, timeoutMs: number): Promise<Conversation> {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  const state = { ended: false }
  const changed = new EventTarget()
  const tell = () => changed.dispatchEvent(new Event('change'))
  // A reset after the answer is an end like any other here: it shows as `closed`.
  socket.on('error', () => undefined)
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
    tell()
  })
  socket.on('close', () => {
    state.ended = true
    tell()
  })
  await once(socket, 'connect')
  socket.write(sent.bytes)
  if (sent.halfClose === true) socket.end()
  const deadline = AbortSignal.timeout(timeoutMs)
  let parsed = parseResponses(text, sent.methods, state.ended)
  while (parsed.responses.length < sent.methods.length && !state.ended && !deadline.aborted) {
    await nextChange(changed, deadline)
    parsed = parseResponses(text, sent.methods, state.ended)
  }
  return { ...parsed, closed: ms => closed(socket, ms), [Symbol.dispose]: () => void socket.destroy() }
}

async function closed(socket: Socket, ms: number): Promise<boolean> {
  const until = performance.now() + ms
  while (!socket.closed && !socket.readableEnded && performance.now() < until) await delay(5)
  return socket.closed || socket.readableEnded
}

async function nextChange(changed: EventTarget, deadline: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const done = () => resolve()
  changed.addEventListener('change', done, { once: true })
  deadline.addEventListener('abort', done, { once: true })
  await promise
  deadline.removeEventListener('abort', done)
}

function parseResponses(text: string, methods: readonly string[], ended: boolean) {
  const responses: RawResponse[] = []
  let at = 0
  for (const method of methods) {
    const parsed = parseResponse(text, at, method, ended)
    if (parsed === undefined) break
    responses.push(parsed.response)
    at = parsed.end
  }
  return { responses, rest: text.slice(at) }
}

interface Parsed {
  readonly response: RawResponse
  readonly end: number
}

function parseResponse(text: string, start: number, method: string, ended: boolean): Parsed | undefined {
  const headEnd = text.indexOf(CRLF + CRLF, start)
  if (headEnd < 0) return undefined
  const [statusLine = '', ...lines] = text.slice(start, headEnd).split(CRLF)
  const [, status = '0', reason = ''] = /^HTTP\/1\.[01] (\d{3}) ?(.*)$/.exec(statusLine) ?? []
  const head = { status: Number(status), reason, headers: lines.map(parseLine) }
  const bodyStart = headEnd + 4
  const header = (name: string) => head.headers.find(([key]) => key.toLowerCase() === name)?.[1]
  const finish = (body: string, end: number, whole = true): Parsed => ({
    response: { ...head, body: utf8(body), trailers: [], whole },
    end,
  })
  if (head.status < 200) return parseResponse(text, bodyStart, method, ended)
  if (method === 'HEAD' || head.status === 204 || head.status === 304) return finish('', bodyStart)
  if (header('transfer-encoding')?.toLowerCase() === 'chunked') {
    const body = parseChunked(text, bodyStart)
    if (body === undefined) {
      return ended
        ? {
            response: { ...head, body: utf8(text.slice(bodyStart)), trailers: [], whole: false },
            end: text.length,
          }
        : undefined
    }
    const { chunks, trailers, end } = body
    return {
      response: { ...head, body: utf8(chunks.join('')), chunks: chunks.map(utf8), trailers, whole: true },
      end,
    }
  }
  const length = header('content-length')
  const end = length === undefined ? text.length : bodyStart + Number(length)
  if (length === undefined ? !ended : text.length < end) {
    return ended ? finish(text.slice(bodyStart), text.length, false) : undefined
  }
  return finish(text.slice(bodyStart, end), end)
}

function parseChunked(text: string, start: number) {
  const chunks: string[] = []
  let at = start
  while (true) {
    const lineEnd = text.indexOf(CRLF, at)
    if (lineEnd < 0) return undefined
    const size = Number.parseInt(text.slice(at, lineEnd), 16)
    at = lineEnd + 2
    if (size === 0) {
      if (text.startsWith(CRLF, at)) return { chunks, trailers: [], end: at + 2 }
      const end = text.indexOf(CRLF + CRLF, at)
      if (end < 0) return undefined
      return { chunks, trailers: text.slice(at, end).split(CRLF).map(parseLine), end: end + 4 }
    }
    if (text.length < at + size + 2) return undefined
    chunks.push(text.slice(at, at + size))
    at += size + 2
  }
}

function parseLine(line: string): readonly [string, string] {
  const colon = line.indexOf(':')
  return [line.slice(0, colon), utf8(line.slice(colon + 1).trim())]
}

function utf8(latin1: string): string {
  return Buffer.from(latin1, 'latin1').toString('utf8')
}
