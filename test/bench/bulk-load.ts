/** A bulk request (`POST /pins`, `DELETE /pins`) over a plain socket: lines go out while answers come in, with back-pressure both ways. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface BulkResult {
  /** Answers without an error. */
  readonly done: number
  /** The first answers with one. */
  readonly refused: readonly string[]
  /** Answers of both kinds. */
  readonly answers: number
  readonly seconds: number
  /** To the first answer. */
  readonly firstMs: number
  /** Text of the trailer, when the stream ended with an error; of the status line, when it was not 200. */
  readonly error: string
}

export interface BulkOptions {
  /** @default POST */
  readonly method?: 'POST' | 'DELETE'
  /** With its query. @default /pins */
  readonly path?: string
  /** Breaks the connection. */
  readonly signal?: AbortSignal
  /** Called with the number of answers so far, for every chunk of them. */
  readonly answered?: (answers: number) => void
}

/** Lines of one chunk. */
const CHUNK_LINES = 1_000
const SHOWN_REFUSALS = 5
const NEWLINE = 0x0a
const TRAILER = /\r\n0\r\n(?:X-Stream-Error: ?(.*)\r\n)?\r\n$/i

/** Sends `lines` (without line breaks) and counts the answers. @throws when the connection breaks. */
export async function bulkLoad(
  url: string,
  lines: Iterable<string>,
  { method = 'POST', path = '/pins', signal, answered }: BulkOptions = {},
): Promise<BulkResult> {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), noDelay: true })
  signal?.addEventListener('abort', () => socket.destroy(), { once: true })
  await once(socket, 'connect')
  const began = performance.now()
  socket.write(
    `${method} ${path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n`,
  )
  const sending = send(socket, lines)
  const result = await receive(socket, began, answered)
  socket.destroy()
  await sending
  return result
}

async function send(socket: Socket, lines: Iterable<string>): Promise<void> {
  const source = lines[Symbol.iterator]()
  while (!socket.destroyed) {
    let text = ''
    let count = 0
    for (; count < CHUNK_LINES; count++) {
      const { done, value } = source.next()
      if (done === true) break
      text += `${value}\n`
    }
    if (count === 0) break
    // Lines of CIDs are ASCII.
    if (socket.write(`${text.length.toString(16)}\r\n${text}\r\n`)) continue
    const { promise, resolve } = Promise.withResolvers<void>()
    socket.once('drain', resolve).once('close', resolve)
    await promise
    socket.off('drain', resolve).off('close', resolve)
  }
  if (!socket.destroyed) socket.write('0\r\n\r\n')
}

async function receive(
  socket: Socket,
  began: number,
  answered: BulkOptions['answered'],
): Promise<BulkResult> {
  let [answers, firstMs] = [0, 0]
  const refused: string[] = []
  let refusals = 0
  let head = ''
  let tail = ''
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    if (firstMs === 0) firstMs = performance.now() - began
    if (head === '') {
      head = chunk.toString('latin1')
      if (!head.startsWith('HTTP/1.1 200')) continue
    }
    answers += countAnswers(chunk)
    tail = (tail + chunk.toString('latin1')).slice(-100_000)
    for (const found of chunk.includes('"error"')
      ? chunk.toString('latin1').matchAll(/\{"cid":[^\n]*"error"[^\n]*/g)
      : []) {
      refusals++
      if (refused.length < SHOWN_REFUSALS) refused.push(found[0])
    }
    answered?.(answers)
  }
  const seconds = (performance.now() - began) / 1000
  const isStream = head.startsWith('HTTP/1.1 200')
  const end = TRAILER.exec(tail)
  if (isStream && end === null) throw new Error(`the connection broke after ${answers} answers`)
  const error = isStream ? (end?.[1] ?? '') : head.slice(0, head.indexOf('\r\n'))
  return { done: answers - refusals, refused, answers, seconds, firstMs, error }
}

/** Each ends with `}` and a line feed, and no chunk of the transfer begins so. */
function countAnswers(chunk: Buffer): number {
  let count = 0
  for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, at + 1)) {
    // The line feeds of HTTP itself follow a carriage return.
    const before = at === 0 ? 0x7d : chunk[at - 1]
    if (before !== 0x0d) count++
  }
  return count
}
