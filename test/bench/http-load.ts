/**
 * HTTP load over plain sockets: one request at a time on each of some connections. Costs a few microseconds a request, where node:http
 * would be busier than the peer that it measures.
 */
import { connect, type OnReadOpts, type Socket } from 'node:net'

export interface LoadResult {
  /** By status code. */
  readonly answers: Readonly<Record<number, number>>
  readonly seconds: number
  /** Milliseconds from the request's first byte to the answer's last, sorted. */
  readonly latencies: Float64Array
}

export interface LoadOptions {
  readonly connections: number
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Stops the load early, after the requests under way. */
  readonly signal?: AbortSignal
  /** Called for each answer. */
  readonly answered?: (path: string, status: number) => void
}

/** Sends a request for each path. @throws when a connection breaks, unless `signal` has fired. */
export async function load(url: string, paths: Iterable<string>, options: LoadOptions): Promise<LoadResult> {
  const { method, signal, answered } = options
  const answers: Record<number, number> = {}
  const latencies: number[] = []
  const source = paths[Symbol.iterator]()
  const began = performance.now()
  const worker = async () => {
    using connection = new Connection(url)
    await connection.askAll(method, () => {
      const { done, value: path } = source.next()
      if (done === true || signal?.aborted === true) return undefined
      const sent = performance.now()
      return {
        path,
        answered(status) {
          latencies.push(performance.now() - sent)
          answers[status] = (answers[status] ?? 0) + 1
          answered?.(path, status)
        },
      }
    })
  }
  const ended = await Promise.allSettled(Array.from({ length: options.connections }, worker))
  const seconds = (performance.now() - began) / 1000
  const failed = ended.find(result => result.status === 'rejected')
  if (failed !== undefined && signal?.aborted !== true) throw failed.reason
  return { answers, seconds, latencies: Float64Array.from(latencies).sort() }
}

/** The latency below which `share` of the answers came. Milliseconds. */
export function percentile({ latencies }: LoadResult, share: number): number {
  return latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0
}

interface Question {
  readonly path: string
  /** Called with the status when the whole answer is there. */
  answered(status: number): void
}

/** Of a socket's reads: one for all that come, as buffers of their own would be collected while answers are being waited for. */
const READ_BYTES = 64 * 1024

/** Finds the ends of answers with a length or in chunks; their bodies are dropped. */
class Connection implements Disposable {
  readonly #socket: Socket
  readonly #ended = Promise.withResolvers<void>()
  #text = ''
  #next: () => void = () => undefined
  #asked: Question | undefined

  constructor(url: string) {
    const { hostname, port } = new URL(url)
    const onread: OnReadOpts = {
      buffer: Buffer.allocUnsafe(READ_BYTES),
      callback: (bytes, buffer) => {
        this.#text += Buffer.from(buffer.buffer, buffer.byteOffset, bytes).toString('latin1')
        this.#try(() => this.#check())
        return true
      },
    }
    this.#socket = connect({ host: hostname, port: Number(port), noDelay: true, onread })
    this.#socket.on('error', this.#ended.reject)
    this.#socket.on('close', () => this.#ended.reject(new Error('the connection was closed')))
  }

  /** Asks one question after the other until there is none. Once. */
  async askAll(method: string, next: () => Question | undefined): Promise<void> {
    const head = ` HTTP/1.1\r\nHost: bench\r\n${method === 'GET' ? '' : 'Content-Length: 0\r\n'}\r\n`
    this.#next = () => {
      this.#asked = next()
      if (this.#asked === undefined) this.#ended.resolve()
      else this.#socket.write(`${method} ${this.#asked.path}${head}`)
    }
    this.#socket.once('connect', () => this.#try(this.#next))
    await this.#ended.promise
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }

  #try(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#ended.reject(error)
    }
  }

  #check(): void {
    const headEnd = this.#text.indexOf('\r\n\r\n')
    if (headEnd < 0) return
    const head = this.#text.slice(0, headEnd)
    const status = Number(head.slice(9, 12))
    const length = /content-length: (\d+)/i.exec(head)?.[1]
    const end =
      length === undefined ? this.#endOfChunks(status, headEnd + 4, head) : headEnd + 4 + Number(length)
    if (end === undefined || this.#text.length < end) return
    this.#text = this.#text.slice(end)
    this.#asked?.answered(status)
    this.#next()
  }

  #endOfChunks(status: number, bodyAt: number, head: string): number | undefined {
    if (status === 204 || !/transfer-encoding: chunked/i.test(head)) return bodyAt
    const last = this.#text.indexOf('\r\n0\r\n', bodyAt - 2)
    const trailersEnd = last < 0 ? -1 : this.#text.indexOf('\r\n\r\n', last + 3)
    return trailersEnd < 0 ? undefined : trailersEnd + 4
  }
}

export interface Listing {
  readonly items: number
  readonly bytes: number
  readonly firstByteMs: number
  readonly seconds: number
}

/** Reads a streamed listing to its end and counts its lines. @throws when it ends with an error. */
export async function readListing(url: string, path: string): Promise<Listing> {
  const began = performance.now()
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port) })
  socket.write(`GET ${path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n`)
  let firstByteMs = 0
  let bytes = 0
  let items = 0
  let last: number | undefined
  let tail = ''
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    if (bytes === 0) firstByteMs = performance.now() - began
    bytes += chunk.length
    // Each item is an object with one of these, and no string in it holds one.
    for (let at = chunk.indexOf('\n'); at >= 0; at = chunk.indexOf('\n', at + 1)) {
      if ((at === 0 ? last : chunk[at - 1]) === 0x7d) items++
    }
    last = chunk.at(-1)
    tail = (tail + chunk.toString('latin1', Math.max(0, chunk.length - 500))).slice(-500)
  }
  const error = /X-Stream-Error: (\S.*)/.exec(tail)?.[1]
  if (error !== undefined) throw new Error(`${path}: ${error}`)
  return { items, bytes, firstByteMs, seconds: (performance.now() - began) / 1000 }
}
