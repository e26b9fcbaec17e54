/** Bodies that are written while they arise: NDJSON, and the error in the trailer `X-Stream-Error` (reference api.md 1.1). */
import type { ServerResponse } from 'node:http'
import { setImmediate as turn } from 'node:timers/promises'
import { errorMessage, raceSignal } from '@ipfs-cluster/base'

const ERROR_TRAILER = 'X-Stream-Error'
/** Lines are gathered up to this many characters, or until the source has to be waited for. */
const CHUNK_CHARS = 32 * 1024

/** Writes lines to a response with back-pressure: lines of the same turn of the event loop leave in one chunk. */
export class StreamWriter {
  readonly #response: ServerResponse
  readonly #signal: AbortSignal
  #pending = ''
  #scheduled = false

  constructor(response: ServerResponse, signal: AbortSignal) {
    this.#response = response
    this.#signal = signal
  }

  /** Writes a line or, as bytes, a chunk of whole lines. Resolves when there is room for more. */
  async write(line: string | Uint8Array): Promise<void> {
    if (typeof line !== 'string') {
      this.#flush()
      await this.#written(this.#response.destroyed || this.#response.write(line))
      // Whoever reads fast would leave other requests one turn for several chunks. A turn in which nothing else is to do costs nothing.
      return await turn()
    }
    this.#pending += line
    if (this.#pending.length >= CHUNK_CHARS) return await this.#flushed()
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#flush()
    })
  }

  /** Ends the body. `error`, when given, is the only line of the trailer; success is an empty line. */
  async end(error?: unknown): Promise<void> {
    await this.#flushed()
    const text = error === undefined ? '' : errorMessage(error)
    this.#response.addTrailers([[ERROR_TRAILER, oneLine(text)]])
    this.#response.end()
  }

  /** Ends a body whose trailer only exists for errors (`/add`). */
  async endWithoutTrailer(): Promise<void> {
    await this.#flushed()
    this.#response.end()
  }

  async #flushed(): Promise<void> {
    await this.#written(this.#flush())
  }

  /** @param hasRoom whether more may be written at once. */
  async #written(hasRoom: boolean): Promise<void> {
    if (!hasRoom) await drained(this.#response, this.#signal)
  }

  #flush(): boolean {
    if (this.#pending === '' || this.#response.destroyed) return true
    const chunk = this.#pending
    this.#pending = ''
    // Made bytes once: of a string whose length is wanted, too, it would be gone through three times.
    return this.#response.write(chunk.length < CHUNK_CHARS ? chunk : Buffer.from(chunk))
  }
}

/**
 * Answers with the items of a stream: 204 when there is none, the status and body of `fail` when it fails before the first item, else 200.
 *
 * @param headers set on whatever is sent.
 */
export async function sendStream(
  response: ServerResponse,
  lines: AsyncIterable<string | Uint8Array>,
  signal: AbortSignal,
  fail: (error: unknown) => { readonly status: number; readonly body: string },
): Promise<void> {
  const iterator = lines[Symbol.asyncIterator]()
  try {
    let step: IteratorResult<string | Uint8Array>
    try {
      step = await iterator.next()
    } catch (error) {
      signal.throwIfAborted()
      const { status, body } = fail(error)
      response.writeHead(status, { Trailer: ERROR_TRAILER, 'Transfer-Encoding': 'chunked' })
      response.write(body)
      await new StreamWriter(response, signal).end(error)
      return
    }
    if (step.done === true) {
      // A 204 has no body, and so nothing for a trailer to stand behind.
      response.writeHead(204).end()
      return
    }
    response.writeHead(200, { Trailer: ERROR_TRAILER, 'Transfer-Encoding': 'chunked' })
    const writer = new StreamWriter(response, signal)
    let failure: unknown
    try {
      for (; step.done !== true; step = await iterator.next()) await writer.write(step.value)
    } catch (error) {
      signal.throwIfAborted()
      failure = error
    }
    await writer.end(failure)
  } finally {
    await iterator.return?.()
  }
}

/** Resolves when a response that was full takes more. @throws the reason of the signal */
export async function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  response.once('drain', resolve)
  try {
    await raceSignal(promise, signal)
  } finally {
    response.removeListener('drain', resolve)
  }
}

/** A header line cannot hold a line break, nor anything outside Latin-1. */
export function oneLine(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]+/g, ' ')
}
