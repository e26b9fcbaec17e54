/** The answer to a request in the forms of go-ipfs-cmds (`http/responseemitter.go`). */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { setImmediate } from 'node:timers'
import { raceSignal } from '@ipfs-cluster/base'

const STREAM_ERROR = 'X-Stream-Error'
const EXPOSED = 'X-Stream-Output, X-Chunked-Output, X-Content-Length'
/** Lines are gathered up to this many characters, or to the end of the turn of the event loop. */
const CHUNK_CHARS = 32 * 1024

export interface BytesOptions {
  /** @default "text/plain", so that a browser shows no page of the API's own port */
  readonly contentType?: string
  /** Bytes, where they are known. */
  readonly length?: number
}

export class Answer {
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #signal: AbortSignal
  #pending = ''
  #scheduled = false

  constructor(request: IncomingMessage, response: ServerResponse, signal: AbortSignal) {
    this.#request = request
    this.#response = response
    this.#signal = signal
  }

  get begun(): boolean {
    return this.#response.headersSent
  }

  /** The whole answer, as JSON. */
  async once(value: object): Promise<void> {
    this.#begin(200, 'application/json')
    await this.#write(`${JSON.stringify(value)}\n`)
  }

  /** One of any number of objects, a line each. Resolves when there is room for more. */
  async line(value: object): Promise<void> {
    this.lines()
    this.#pending += `${JSON.stringify(value)}\n`
    if (this.#pending.length >= CHUNK_CHARS) return await this.#flush()
    this.#schedule()
  }

  /** Begins an answer of lines, of which there may be none. */
  lines(): void {
    if (this.begun) return
    this.#response.setHeader('X-Chunked-Output', '1')
    this.#begin(200, 'application/json')
  }

  /** Bytes, as fast as the client takes them. The first are awaited before the head of the answer goes out, so that a failure can be told by it. */
  async bytes(
    source: AsyncIterable<Uint8Array>,
    { contentType = 'text/plain', length }: BytesOptions = {},
  ): Promise<void> {
    const iterator = source[Symbol.asyncIterator]()
    try {
      let step = await iterator.next()
      if (length !== undefined) this.#response.setHeader('X-Content-Length', length)
      this.#response.setHeader('X-Stream-Output', '1')
      this.#begin(200, contentType)
      for (; step.done !== true; step = await iterator.next()) await this.#write(step.value)
    } finally {
      await iterator.return?.()
    }
  }

  async end(): Promise<void> {
    this.lines()
    await this.#flush()
    this.#response.end()
  }

  /** An error: an object of its own, or in the trailer of what has begun. */
  async fail(message: string): Promise<void> {
    if (!this.begun) {
      this.#begin(500, 'application/json')
      this.#response.end(`${JSON.stringify({ Message: message, Code: 0, Type: 'error' })}\n`)
      return
    }
    await this.#flush()
    if (!this.#response.chunkedEncoding) {
      // HTTP/1.0 has no trailer: only a broken connection tells that this is not all.
      this.#response.destroy()
      return
    }
    this.#response.addTrailers([[STREAM_ERROR, message.replaceAll(/[^\x20-\x7e]+/g, ' ')]])
    this.#response.end()
  }

  #begin(status: number, contentType: string): void {
    const response = this.#response
    // What is left of the body will not be read.
    if (!this.#request.complete && hasBody(this.#request)) response.setHeader('Connection', 'close')
    response.writeHead(status, {
      'Access-Control-Allow-Headers': EXPOSED,
      'Access-Control-Expose-Headers': EXPOSED,
      'Content-Type': contentType,
      ...(this.#request.httpVersion === '1.1'
        ? { Trailer: STREAM_ERROR, 'Transfer-Encoding': 'chunked' }
        : {}),
    })
    // Whoever waits long for the first line knows at least that it was heard.
    response.flushHeaders()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      const chunk = this.#take()
      if (chunk !== '' && !this.#response.destroyed) this.#response.write(chunk)
    })
  }

  #take(): string {
    const chunk = this.#pending
    this.#pending = ''
    return chunk
  }

  async #flush(): Promise<void> {
    const chunk = this.#take()
    if (chunk !== '') await this.#write(chunk)
  }

  async #write(chunk: string | Uint8Array): Promise<void> {
    this.#signal.throwIfAborted()
    const response = this.#response
    if (response.destroyed || chunk.length === 0 || response.write(chunk)) return
    const { promise, resolve } = Promise.withResolvers<void>()
    response.once('drain', resolve).once('close', resolve)
    try {
      await raceSignal(promise, this.#signal)
    } finally {
      response.removeListener('drain', resolve).removeListener('close', resolve)
    }
  }
}

function hasBody({ headers }: IncomingMessage): boolean {
  return (headers['content-length'] ?? '0') !== '0' || headers['transfer-encoding'] !== undefined
}

/** A refusal in plain text, as Go's `http.Error` writes it. */
export function sendText(response: ServerResponse, status: number, text: string): void {
  const body = `${text}\n`
  response.writeHead(status, {
    'Content-Type': 'text/plain; charset=utf-8',
    'X-Content-Type-Options': 'nosniff',
    'Content-Length': Buffer.byteLength(body),
  })
  response.end(body)
}
