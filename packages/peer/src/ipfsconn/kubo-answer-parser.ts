/** Takes the bytes of one connection apart into the answers to the requests that were sent over it (RFC 9112). */

/** Told of one answer, in this order. */
export interface AnswerReader {
  head(status: number): void
  body(text: string): void
  /** @param trailerError the field `X-Stream-Error`, by which Kubo tells that an answer that began well has failed. */
  end(trailerError: string | undefined): void
}

/** The bytes are no answer of an HTTP server, or one that we do not take. */
export class BadHttp extends Error {
  readonly code = 'BAD_HTTP'
}

/** Bytes of a head or of a line of chunks, at most. */
const MAX_HEAD_BYTES = 64 * 1024
const NO_BODY = /^(?:1\d\d|204|304)$/

type Expect = 'head' | 'length' | 'size' | 'chunk' | 'chunk end' | 'trailers' | 'close'

export class AnswerParser {
  readonly #readers: readonly AnswerReader[]
  readonly #done: () => void
  #at = 0
  #expect: Expect = 'head'
  /** Not yet understood. Bytes as characters, so that lengths are those of the wire. */
  #rest = ''
  /** Bytes of the body or the chunk still to come. */
  #left = 0
  /** A character of a body may be cut in two by a chunk or a packet. */
  #decoder: TextDecoder | undefined
  hasBegun = false
  keepsConnection = true

  /** @param done called when every reader has been told its end. */
  constructor(readers: readonly AnswerReader[], done: () => void) {
    this.#readers = readers
    this.#done = done
  }

  get isDone(): boolean {
    return this.#at >= this.#readers.length
  }

  /** @throws BadHttp, or whatever a reader throws. */
  add(chunk: Buffer): void {
    this.hasBegun = true
    this.#rest += chunk.toString('latin1')
    while (!this.isDone && this.#step());
    if (this.isDone && this.#rest !== '') throw new BadHttp('bytes after the answer')
  }

  /** The connection has ended: so has an answer without a length. */
  end(): void {
    if (this.#expect === 'close' && !this.isDone) this.#finish(undefined)
  }

  /** False when it takes more bytes to go on. */
  #step(): boolean {
    switch (this.#expect) {
      case 'head':
        return this.#head()
      case 'length':
        return this.#body(() => this.#finish(undefined))
      case 'chunk':
        return this.#body(() => (this.#expect = 'chunk end'))
      case 'chunk end':
        return this.#chunkEnd()
      case 'size':
        return this.#size()
      case 'trailers':
        return this.#trailers()
      case 'close':
        this.#left = this.#rest.length
        return this.#left > 0 && this.#body(() => undefined)
    }
  }

  #head(): boolean {
    const end = this.#rest.indexOf('\r\n\r\n')
    if (end < 0) return this.#more('head')
    const head = this.#rest.slice(0, end + 2)
    this.#rest = this.#rest.slice(end + 4)
    const status = /^HTTP\/1\.([01]) (\d{3})/.exec(head)
    if (status === null) throw new BadHttp(`not an HTTP answer: ${JSON.stringify(head.slice(0, 50))}`)
    const [, minor, code = ''] = status
    if (code.startsWith('1')) return true
    if (minor === '0' || /\r\nconnection:[^\r]*close/i.test(head)) this.keepsConnection = false
    this.#readers[this.#at]?.head(Number(code))
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)
    if (NO_BODY.test(code)) this.#finish(undefined)
    else if (/\r\ntransfer-encoding:[^\r]*chunked/i.test(head)) this.#expect = 'size'
    else if (length !== null) {
      this.#left = Number(length[1])
      this.#expect = 'length'
    } else {
      this.keepsConnection = false
      this.#expect = 'close'
    }
    return true
  }

  #body(whole: () => void): boolean {
    const part = this.#rest.length <= this.#left ? this.#rest : this.#rest.slice(0, this.#left)
    this.#rest = this.#rest.slice(part.length)
    this.#left -= part.length
    if (part !== '') this.#readers[this.#at]?.body(this.#text(part))
    if (this.#left > 0) return false
    whole()
    return true
  }

  #size(): boolean {
    const line = this.#line()
    if (line === undefined) return this.#more('chunk')
    if (!/^[0-9a-fA-F]{1,12}[ \t]*(?:;.*)?$/.test(line))
      throw new BadHttp(`not the size of a chunk: ${line.slice(0, 20)}`)
    this.#left = Number.parseInt(line, 16)
    this.#expect = this.#left === 0 ? 'trailers' : 'chunk'
    return true
  }

  #chunkEnd(): boolean {
    if (this.#rest.length < 2) return false
    if (!this.#rest.startsWith('\r\n')) throw new BadHttp('a chunk longer than its size')
    this.#rest = this.#rest.slice(2)
    this.#expect = 'size'
    return true
  }

  #trailers(): boolean {
    if (this.#rest.startsWith('\r\n')) {
      this.#rest = this.#rest.slice(2)
      this.#finish(undefined)
      return true
    }
    const end = this.#rest.indexOf('\r\n\r\n')
    if (end < 0) return this.#more('trailers')
    const trailers = `\r\n${this.#rest.slice(0, end)}`
    this.#rest = this.#rest.slice(end + 4)
    const error = /\r\nx-stream-error:[ \t]*([^\r]*)/i.exec(trailers)?.[1]
    this.#finish(error === undefined ? undefined : Buffer.from(error, 'latin1').toString())
    return true
  }

  #line(): string | undefined {
    const end = this.#rest.indexOf('\r\n')
    if (end < 0) return undefined
    const line = this.#rest.slice(0, end)
    this.#rest = this.#rest.slice(end + 2)
    return line
  }

  #more(what: string): false {
    if (this.#rest.length > MAX_HEAD_BYTES)
      throw new BadHttp(`a ${what} of more than ${MAX_HEAD_BYTES} bytes`)
    return false
  }

  #finish(trailerError: string | undefined): void {
    const reader = this.#readers[this.#at]
    this.#at++
    this.#expect = 'head'
    reader?.end(trailerError)
    if (this.isDone) this.#done()
  }

  /** Nearly every answer is ASCII. */
  #text(part: string): string {
    // oxlint-disable-next-line no-control-regex
    if (/^[\x00-\x7f]*$/.test(part)) return part
    this.#decoder ??= new TextDecoder()
    return this.#decoder.decode(Buffer.from(part, 'latin1'), { stream: true })
  }
}
