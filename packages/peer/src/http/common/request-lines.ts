/** A body of one document a line, read while it is answered. */
import type { IncomingMessage } from 'node:http'
import { asError } from '@ipfs-cluster/base'
import type { BulkLine } from '@ipfs-cluster/api'
import { HttpError } from './errors.ts'

export interface LineLimits {
  /** Lines that are given at once; as many may wait meanwhile. */
  readonly maxLines: number
  /** The same in bytes, give or take a chunk of the network. */
  readonly maxBytes: number
  /** Bytes of a line; of a longer one nothing is kept. */
  readonly maxLineBytes: number
}

const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d

/** Disposed of, it reads no further, and whoever waits for lines gets none. */
export interface RequestLines extends AsyncIterable<readonly BulkLine[]>, Disposable {
  /** Whether the client owes us something: nothing waits to be taken, and there is more to come. */
  readonly starving: boolean
}

/**
 * The lines that are not blank, as many together as have come; `null` for each that was too long. When `maxLines` wait, the client has to.
 *
 * @throws HttpError `HTTP_BAD_UPLOAD` when the body ends early; the signal's reason.
 */
export function requestLines(
  request: IncomingMessage,
  limits: LineLimits,
  signal: AbortSignal,
): RequestLines {
  const splitter = new LineSplitter(limits.maxLineBytes)
  let ended = false
  let failure: Error | undefined
  let wake: (() => void) | undefined
  const change = () => {
    wake?.()
    wake = undefined
  }
  const fail = (error: Error) => {
    if (ended) return
    failure ??= error
    change()
  }
  const isFull = () => splitter.lines.length >= limits.maxLines || splitter.bytes >= limits.maxBytes
  const onData = (chunk: Buffer) => {
    splitter.push(chunk)
    if (isFull()) request.pause()
    if (splitter.lines.length > 0) change()
  }
  const onEnd = () => {
    splitter.end()
    ended = true
    change()
  }
  request.on('data', onData).on('end', onEnd)
  const early = () => new HttpError('the body ended early', { code: 'HTTP_BAD_UPLOAD' })
  request.on('error', () => fail(early()))
  request.on('close', () => fail(early()))
  signal.addEventListener('abort', () => fail(asError(signal.reason)), { once: true })
  return {
    [Symbol.dispose]() {
      request.off('data', onData).off('end', onEnd)
      splitter.take(Number.POSITIVE_INFINITY)
      ended = true
      change()
    },
    get starving() {
      return !ended && !isFull()
    },
    async *[Symbol.asyncIterator]() {
      while (true) {
        signal.throwIfAborted()
        if (failure !== undefined) throw failure
        if (splitter.lines.length > 0) {
          const lines = splitter.take(limits.maxLines)
          if (!isFull() && !ended) request.resume()
          yield lines
        } else if (ended) return
        else await new Promise<void>(resolve => (wake = resolve))
      }
    },
  }
}

/** Cuts bytes into lines. A line feed is never a part of another character, so whole lines can be decoded as they are. */
export class LineSplitter {
  readonly #maxLineBytes: number
  #rest: Buffer[] = []
  #restBytes = 0
  /** In the middle of a line that is too long. */
  #skipping = false
  #bytes = 0
  #lines: BulkLine[] = []

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes
  }

  /** Those that are complete and not taken. */
  get lines(): readonly BulkLine[] {
    return this.#lines
  }

  /** Of the lines that are not taken. */
  get bytes(): number {
    return this.#bytes
  }

  push(chunk: Buffer): void {
    const first = chunk.indexOf(LINE_FEED)
    if (first < 0) return this.#keep(chunk)
    let from = 0
    if (this.#restBytes > 0 || this.#skipping) {
      this.#keep(chunk.subarray(0, first))
      this.#endLine()
      from = first + 1
    }
    const last = chunk.lastIndexOf(LINE_FEED)
    if (last > from) this.#whole(chunk.subarray(from, last))
    if (last + 1 < chunk.length) this.#keep(chunk.subarray(last + 1))
  }

  /** The body is over: what is left is a line. */
  end(): void {
    if (this.#restBytes > 0 || this.#skipping) this.#endLine()
  }

  take(count: number): readonly BulkLine[] {
    if (this.#lines.length <= count) {
      const all = this.#lines
      this.#lines = []
      this.#bytes = 0
      return all
    }
    const taken = this.#lines.splice(0, count)
    for (const line of taken) this.#bytes -= line?.length ?? 0
    return taken
  }

  /** Lines that are complete, apart by line feeds. */
  #whole(bytes: Buffer): void {
    const lines = bytes.toString('utf8').split('\n')
    for (const line of lines) this.#add(line)
  }

  #keep(bytes: Buffer): void {
    if (this.#skipping || bytes.length === 0) return
    this.#restBytes += bytes.length
    if (this.#restBytes > this.#maxLineBytes) {
      this.#skipping = true
      this.#rest = []
      this.#restBytes = 0
    } else this.#rest.push(bytes)
  }

  #endLine(): void {
    if (this.#skipping) this.#lines.push(null)
    else this.#add(Buffer.concat(this.#rest).toString('utf8'))
    this.#skipping = false
    this.#rest = []
    this.#restBytes = 0
  }

  #add(line: string): void {
    const end = line.length - 1
    const text = line.charCodeAt(end) === CARRIAGE_RETURN ? line.slice(0, end) : line
    if (text.length > this.#maxLineBytes) this.#lines.push(null)
    else if (!isBlank(text)) {
      this.#lines.push(text)
      this.#bytes += text.length
    }
  }
}

function isBlank(text: string): boolean {
  return text === '' || ((text.startsWith(' ') || text.startsWith('\t')) && text.trim() === '')
}
