/**
 * HTTP/1.1 over plain sockets for the short questions that are asked of Kubo for every pin: `POST` without a body. It costs a quarter of
 * what `node:http` does, and asks many things with one packet. Whatever has a body to send or a long list to read goes by `node:http`.
 *
 * Connections are kept and used again. Answers end by length, by chunks or with the connection (RFC 9112, 6.3).
 */
import { connect, type NetConnectOpts, type Socket } from 'node:net'
import { errorMessage } from '@ipfs-cluster/base'
import { NoAnswer } from './kubo-request.ts'
import { AnswerParser, type AnswerReader } from './kubo-answer-parser.ts'
import type { NodeAddress } from './node-address.ts'

/** One request, and who reads its answer. */
export interface WireRequest {
  /** With its query, below `/api/v0/`. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly reader: AnswerReader
}

export interface WireClient {
  /**
   * Sends the requests in one piece over one connection; the daemon answers them in order. Resolves when all answers have ended.
   *
   * @throws NoAnswer when the connection failed before the first answer, another error when it broke later, the signal's reason.
   * Requests whose reader has been told the end are answered all the same.
   */
  post(requests: readonly WireRequest[], signal?: AbortSignal): Promise<void>
  /** Closes every connection; what is under way fails with `reason`. */
  close(reason: unknown): void
}

/** The connection ended in the middle of an answer. */
export class BrokenAnswer extends Error {
  readonly code = 'ECONNRESET'
}

/** Idle connections kept for later. */
const MAX_IDLE = 32

export function createWireClient(address: NodeAddress): WireClient {
  const idle: Connection[] = []
  const all = new Set<Connection>()
  const head = requestHead(address)

  const acquire = (): Connection => {
    const kept = idle.pop()
    if (kept !== undefined) return kept
    const connection = new Connection(address, () => {
      all.delete(connection)
      const at = idle.indexOf(connection)
      if (at >= 0) idle.splice(at, 1)
    })
    all.add(connection)
    return connection
  }

  const post: WireClient['post'] = async (requests, signal) => {
    signal?.throwIfAborted()
    const text = requests.map(({ path, headers }) => head(path, headers)).join('')
    while (true) {
      const connection = acquire()
      const { reused } = connection
      const onAbort = () => connection.destroy(signal?.reason)
      signal?.addEventListener('abort', onAbort, { once: true })
      try {
        await connection.exchange(
          text,
          requests.map(({ reader }) => reader),
        )
        if (connection.mayBeReused && idle.length < MAX_IDLE) idle.push(connection)
        else connection.destroy(undefined)
        return
      } catch (error) {
        connection.destroy(error)
        if (signal?.aborted === true) throw signal.reason
        // The daemon may close a connection at the moment when it is used again.
        if (!(error instanceof NoAnswer && reused)) throw error
      } finally {
        signal?.removeEventListener('abort', onAbort)
      }
    }
  }

  return {
    post,
    close(reason) {
      for (const connection of all) connection.destroy(reason)
    },
  }
}

function requestHead(address: NodeAddress): (path: string, headers: WireRequest['headers']) => string {
  const { host = 'localhost', port } = address
  const name = host?.includes(':') === true ? `[${host}]` : (host ?? 'localhost')
  const rest = ` HTTP/1.1\r\nHost: ${name}${port === undefined ? '' : `:${port}`}\r\nContent-Length: 0\r\n`
  return (path, headers) => {
    let text = `POST /api/v0/${path}${rest}`
    for (const name in headers) text += `${name}: ${headers[name]}\r\n`
    return `${text}\r\n`
  }
}

class Connection {
  readonly #socket: Socket
  #parser: AnswerParser | undefined
  #under: PromiseWithResolvers<void> | undefined
  #failure: unknown
  reused = false

  constructor(address: NodeAddress, onClosed: () => void) {
    const socket = connect({ ...address, noDelay: true } as NetConnectOpts)
    socket.on('data', (chunk: Buffer) => this.#received(chunk))
    socket.on('error', error => this.#fail(error))
    socket.on('end', () => this.#ended())
    socket.on('close', () => {
      this.#fail(undefined)
      onClosed()
    })
    this.#socket = socket
  }

  get mayBeReused(): boolean {
    return this.#failure === undefined && !this.#socket.destroyed && this.#parser?.keepsConnection === true
  }

  /** Used by one caller at a time. */
  async exchange(text: string, readers: readonly AnswerReader[]): Promise<void> {
    const { promise, resolve, reject } = (this.#under = Promise.withResolvers<void>())
    this.#parser = new AnswerParser(readers, resolve)
    if (this.#socket.destroyed) reject(this.#failure ?? new NoAnswer('the connection is closed'))
    else this.#socket.write(text, 'latin1')
    try {
      await promise
    } finally {
      this.#under = undefined
      this.reused = true
    }
  }

  destroy(reason: unknown): void {
    this.#failure ??= reason
    this.#socket.destroy()
    this.#under?.reject(reason ?? new NoAnswer('the connection is closed'))
  }

  #received(chunk: Buffer): void {
    try {
      if (this.#parser === undefined || this.#parser.isDone)
        throw new BrokenAnswer('an answer nobody asked for')
      this.#parser.add(chunk)
    } catch (error) {
      this.destroy(error)
    }
  }

  #ended(): void {
    this.#parser?.end()
    this.#fail(undefined)
  }

  #fail(cause: unknown): void {
    if (this.#under === undefined || this.#parser?.isDone === true) return
    const why = cause === undefined ? 'the daemon closed the connection' : errorMessage(cause)
    const options = cause === undefined ? undefined : { cause }
    this.destroy(
      this.#parser?.hasBegun === true ? new BrokenAnswer(why, options) : new NoAnswer(why, options),
    )
  }
}
