/** The bulk routes at full speed: lines go out ahead of their answers, as many as a window allows. */
import { connect } from 'node:net'

/** Lines without an answer on one connection. */
const WINDOW = 20_000
const LINES_PER_WRITE = 200

export interface BulkOptions {
  readonly method: 'POST' | 'DELETE'
  readonly path?: string
  readonly signal?: AbortSignal
  /** Called for each answer line, with the CID asked for. */
  readonly answered: (cid: string, answer: string) => void
}

/** Sends all lines and reads all answers. @throws when the connection breaks or the status is not 200, unless `signal` has fired. */
export async function bulk(url: string, cids: Iterable<string>, options: BulkOptions): Promise<void> {
  const { method, path = '/pins', signal, answered } = options
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), noDelay: true })
  const waiting: string[] = []
  let answeredCount = 0
  let hasEnded = false
  const done = Promise.withResolvers<void>()
  const source = cids[Symbol.iterator]()

  const send = () => {
    while (!hasEnded && waiting.length - answeredCount < WINDOW && !socket.writableNeedDrain) {
      let lines = ''
      for (let i = 0; i < LINES_PER_WRITE; i++) {
        const { done: isLast, value: cid } = source.next()
        if (isLast === true || signal?.aborted === true) {
          hasEnded = true
          break
        }
        waiting.push(cid)
        lines += `{"cid":"${cid}"}\n`
      }
      if (lines !== '') socket.write(`${lines.length.toString(16)}\r\n${lines}\r\n`)
      if (hasEnded) socket.write('0\r\n\r\n')
    }
  }

  const onLine = (line: string) => {
    const cid = waiting[answeredCount++]
    if (cid === undefined) return done.reject(new Error(`an answer to nothing: ${line}`))
    answered(cid, line)
    if (answeredCount >= WINDOW) {
      waiting.splice(0, answeredCount)
      answeredCount = 0
    }
    send()
  }
  const reader = createBodyReader(onLine, done)
  socket.setEncoding('latin1')
  socket.on('data', reader)
  socket.on('drain', send)
  // What was said before the end comes first.
  let failure = new Error('the connection was closed')
  socket.on('error', error => void (failure = error))
  socket.on('close', () => done.reject(failure))
  socket.write(
    `${method} ${path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n`,
  )
  send()
  try {
    await done.promise
    if (waiting.length !== answeredCount)
      throw new Error(`${waiting.length - answeredCount} lines got no answer`)
  } catch (error) {
    if (signal?.aborted !== true) throw error
  } finally {
    socket.destroy()
  }
}

/** Takes chunks of an answer in chunks apart into lines; resolves `done` at its end. */
function createBodyReader(onLine: (line: string) => void, done: PromiseWithResolvers<void>) {
  let text = ''
  let body = ''
  let isHead = true
  /** Moves whole chunks to the body. Gives the error of the trailer, empty when there is none, once the last one is there. */
  const takeChunks = (): string | undefined => {
    while (true) {
      const sizeEnd = text.indexOf('\r\n')
      if (sizeEnd < 0) return undefined
      const size = Number.parseInt(text.slice(0, sizeEnd), 16)
      if (size === 0) {
        if (!text.includes('\r\n\r\n', sizeEnd)) return undefined
        return /X-Stream-Error: ?(\S[^\r]*)/i.exec(text)?.[1] ?? ''
      }
      if (text.length < sizeEnd + 2 + size + 2) return undefined
      body += text.slice(sizeEnd + 2, sizeEnd + 2 + size)
      text = text.slice(sizeEnd + 2 + size + 2)
    }
  }
  return (data: string) => {
    text += data
    if (isHead) {
      const end = text.indexOf('\r\n\r\n')
      if (end < 0) return
      // Of a body without lines.
      if (text.startsWith('HTTP/1.1 204 ')) return done.resolve()
      if (!text.startsWith('HTTP/1.1 200 ')) return done.reject(new Error(text.slice(0, 1_000)))
      text = text.slice(end + 4)
      isHead = false
    }
    const end = takeChunks()
    const lines = body.split('\n')
    body = lines.pop() ?? ''
    for (const line of lines) if (line !== '') onLine(line)
    if (end === undefined) return
    if (end === '') done.resolve()
    else done.reject(new Error(end))
  }
}
