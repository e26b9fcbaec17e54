/** JSON objects that follow each other in a stream, with or without white space between and inside them, as Go's decoder takes them. */
import { CodedError } from '@ipfs-cluster/base'

/** Bytes of one object. An object that is larger has most likely lost its closing brace. */
export const MAX_DOCUMENT_BYTES = 16 * 1024 * 1024

export interface JsonDocument {
  readonly text: string
  /** Where it begins, counted from 1. */
  readonly line: number
}

export interface JsonStreamFailure {
  readonly code: 'JSON_STREAM'
  /** Counted from 1. */
  readonly line: number
}

/** The stream is not what it should be; the message says where and why. */
export class JsonStreamError extends CodedError<JsonStreamFailure> {
  override readonly name = 'JsonStreamError'

  constructor(line: number, problem: string, options?: ErrorOptions) {
    super(`line ${line}: ${problem}`, { code: 'JSON_STREAM', line }, options)
  }
}

/**
 * Cuts a stream into its objects. What is inside the braces is not looked at: whoever parses the text finds it.
 *
 * @throws JsonStreamError when something else than an object begins, or one does not end.
 */
export async function* jsonDocuments(
  input: AsyncIterable<Uint8Array | string>,
  maxBytes = MAX_DOCUMENT_BYTES,
): AsyncGenerator<JsonDocument> {
  const cutter = new Cutter(maxBytes)
  for await (const chunk of input) yield* cutter.add(Buffer.from(chunk as Uint8Array))
  cutter.end()
}

const [LINE_FEED, QUOTE, BACKSLASH, OPEN, CLOSE, OPEN_LIST, CLOSE_LIST] = [10, 34, 92, 123, 125, 91, 93]
const isSpace = (byte: number) => byte === 32 || byte === 9 || byte === 13 || byte === LINE_FEED

class Cutter {
  readonly #maxBytes: number
  /** The beginning of the object that is being read, from earlier chunks. */
  #parts: Buffer[] = []
  #bytes = 0
  #depth = 0
  #inString = false
  #escaped = false
  #line = 1
  /** Where the object begins. */
  #startLine = 1

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  *add(chunk: Buffer): Generator<JsonDocument> {
    let start = 0
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i] as number
      if (this.#depth === 0) {
        if (byte === LINE_FEED) this.#line++
        else if (byte === OPEN) {
          start = i
          this.#depth = 1
          this.#startLine = this.#line
        } else if (!isSpace(byte)) throw this.#unexpected(chunk, i)
      } else if (this.#inside(byte)) {
        yield { text: this.#take(chunk.subarray(start, i + 1)), line: this.#startLine }
      }
    }
    if (this.#depth > 0) this.#keep(chunk.subarray(start))
  }

  end(): void {
    if (this.#depth > 0)
      throw new JsonStreamError(this.#startLine, 'the object that begins here does not end')
  }

  /** Moves on by one byte of an object; true when that was its last. */
  #inside(byte: number): boolean {
    if (byte === LINE_FEED) this.#line++
    if (this.#escaped) this.#escaped = false
    else if (this.#inString) {
      if (byte === BACKSLASH) this.#escaped = true
      else if (byte === QUOTE) this.#inString = false
    } else if (byte === QUOTE) this.#inString = true
    else if (byte === OPEN || byte === OPEN_LIST) this.#depth++
    else if (byte === CLOSE || byte === CLOSE_LIST) return --this.#depth === 0
    return false
  }

  #keep(bytes: Buffer): void {
    this.#bytes += bytes.length
    if (this.#bytes > this.#maxBytes) {
      const problem = `the object that begins here does not end within ${this.#maxBytes} bytes`
      throw new JsonStreamError(this.#startLine, problem)
    }
    this.#parts.push(bytes)
  }

  #take(last: Buffer): string {
    if (this.#parts.length === 0) return last.toString('utf8')
    const text = Buffer.concat([...this.#parts, last]).toString('utf8')
    this.#parts = []
    this.#bytes = 0
    return text
  }

  #unexpected(chunk: Buffer, at: number): JsonStreamError {
    const [found = ''] = chunk.toString('utf8', at, at + 4)
    const hint = found === '[' ? '; objects follow each other, without a list around them' : ''
    return new JsonStreamError(this.#line, `an object expected, found ${JSON.stringify(found)}${hint}`)
  }
}
