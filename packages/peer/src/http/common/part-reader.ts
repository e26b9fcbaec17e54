/**
 * The parts of a `multipart/form-data` body, read as they are asked for (RFC 2046 5.1, RFC 7578). Nothing is held but the chunk at hand and
 * the headers of one part; a part that is not read is skipped.
 */
/** Headers of one part: the longest path, escaped, twice (`abspath`), and room. */
const PART_HEADER_BYTES_MAX = 64 * 1024
const END_OF_HEADERS = Buffer.from('\r\n\r\n')
const NOTHING = Buffer.alloc(0)
const [TAB, LF, CR, SPACE, DASH] = [9, 10, 13, 32, 45]

export interface FormPart {
  /** By lower-case name; of several with one name the first. */
  readonly headers: ReadonlyMap<string, string>
  /** To be read before the next part is asked for; what is not read then is skipped. */
  readonly content: AsyncIterable<Uint8Array>
}

/** The next chunk of the body; `undefined` at its end. */
export type ReadChunk = () => Promise<Buffer | undefined>

/** @throws Error when the body is cut short, is no multipart body, or a part has not the bytes that its `Content-Length` promises. */
export async function* readParts(read: ReadChunk, boundary: string): AsyncGenerator<FormPart> {
  const body = new MultipartBody(read, boundary)
  await body.skipPreamble()
  while (await body.openPart()) {
    const headers = parseHeaders(await body.takeHeaders())
    const pieces = countedPieces(body, headers.get('content-length'))
    yield { headers, content: contentOf(pieces) }
    while ((await pieces()) !== undefined);
  }
}

type ReadPiece = () => Promise<Uint8Array | undefined>

async function* contentOf(pieces: ReadPiece): AsyncGenerator<Uint8Array> {
  for (let piece = await pieces(); piece !== undefined; piece = await pieces()) yield piece
}

/** Go and most parsers overlook the length of a part. Whoever states one that is not true has lost bytes on the way. */
function countedPieces(body: MultipartBody, declared: string | undefined): ReadPiece {
  if (declared === undefined) return () => body.takePiece()
  if (!/^\d{1,15}$/.test(declared)) throw new Error('a part has a Content-Length that is not a number')
  const expected = Number(declared)
  let count = 0
  return async () => {
    const piece = await body.takePiece()
    count += piece?.length ?? 0
    if (count > expected || (piece === undefined && count < expected)) {
      const actual = piece === undefined ? `only ${count}` : 'more'
      throw new Error(`a part has ${actual} bytes, but its Content-Length says ${expected}`)
    }
    return piece
  }
}

/** A position in the body. */
class MultipartBody {
  readonly #read: ReadChunk
  /** A boundary with the line end that belongs to it. */
  readonly #delimiter: Buffer
  /** What has been read and not been taken. The first boundary may stand without a line end before it: it is given one. */
  #rest: Buffer = Buffer.from('\r\n')
  /** Just behind a delimiter. */
  #atDelimiter = false
  /** Just behind the headers of a part. */
  #atStart = false

  constructor(read: ReadChunk, boundary: string) {
    this.#read = read
    this.#delimiter = Buffer.from(`\r\n--${boundary}`)
  }

  async skipPreamble(): Promise<void> {
    while ((await this.takePiece()) !== undefined);
  }

  /** False at the end of the last part; what follows has no meaning. */
  async openPart(): Promise<boolean> {
    await this.#fill(2)
    if (this.#rest[0] === DASH && this.#rest[1] === DASH) return false
    let at = 0
    while (this.#rest[at] === SPACE || this.#rest[at] === TAB) await this.#fill(++at + 2)
    if (this.#rest[at] !== CR || this.#rest[at + 1] !== LF) throw new Error('malformed multipart boundary')
    this.#rest = this.#rest.subarray(at)
    return true
  }

  /** From the line end before the first header to the one before the empty line. */
  async takeHeaders(): Promise<string> {
    let searched = 0
    while (true) {
      const end = this.#rest.indexOf(END_OF_HEADERS, searched)
      if ((end < 0 ? this.#rest.length : end) > PART_HEADER_BYTES_MAX) {
        throw new Error(`the headers of a part are longer than ${PART_HEADER_BYTES_MAX} bytes`)
      }
      if (end >= 0) {
        const headers = this.#rest.toString('utf8', 0, end)
        this.#rest = this.#rest.subarray(end + END_OF_HEADERS.length)
        this.#atDelimiter = false
        this.#atStart = true
        return headers
      }
      searched = Math.max(0, this.#rest.length - END_OF_HEADERS.length + 1)
      await this.#fill(this.#rest.length + 1)
    }
  }

  /** A part without content may share the line end of its headers with the boundary. */
  async #openContent(): Promise<void> {
    this.#atStart = false
    const bare = this.#delimiter.subarray(2)
    const matches = () => bare.subarray(0, this.#rest.length).equals(this.#rest.subarray(0, bare.length))
    while (this.#rest.length < bare.length && matches()) await this.#fill(this.#rest.length + 1)
    if (!matches() || !(await this.#isDelimiter(bare.length))) return
    this.#rest = this.#rest.subarray(bare.length)
    this.#atDelimiter = true
  }

  /** `undefined` at the end of the part, as often as it is asked for. */
  async takePiece(): Promise<Buffer | undefined> {
    if (this.#atStart) await this.#openContent()
    if (this.#atDelimiter) return undefined
    while (true) {
      const end = await this.#findDelimiter()
      if (end >= 0) {
        const piece = this.#rest.subarray(0, end)
        this.#rest = this.#rest.subarray(end + this.#delimiter.length)
        this.#atDelimiter = true
        return piece.length === 0 ? undefined : piece
      }
      const piece = this.#rest.subarray(0, this.#rest.length - this.#heldBack())
      if (piece.length > 0) {
        // Not an empty view of what may be gone when it is looked at, since whoever takes the piece may give it back.
        this.#rest = piece.length === this.#rest.length ? NOTHING : this.#rest.subarray(piece.length)
        return piece
      }
      await this.#fill(this.#rest.length + 1)
    }
  }

  /** Whether what ends at `end` and looks like a delimiter is one. The same bytes with other text behind them are content. */
  async #isDelimiter(end: number): Promise<boolean> {
    await this.#fill(end + 1)
    const next = this.#rest[end]
    return next === DASH || next === CR || next === SPACE || next === TAB
  }

  /** Where the next delimiter starts in what has been read. */
  async #findDelimiter(): Promise<number> {
    let at = this.#rest.indexOf(this.#delimiter)
    while (at >= 0) {
      if (await this.#isDelimiter(at + this.#delimiter.length)) return at
      at = this.#rest.indexOf(this.#delimiter, at + 1)
    }
    return -1
  }

  /** Bytes at the end of what has been read that may be the beginning of a delimiter. */
  #heldBack(): number {
    const longest = Math.min(this.#rest.length, this.#delimiter.length - 1)
    for (let at = this.#rest.indexOf(CR, this.#rest.length - longest); at >= 0;) {
      const tail = this.#rest.subarray(at)
      if (tail.equals(this.#delimiter.subarray(0, tail.length))) return tail.length
      at = this.#rest.indexOf(CR, at + 1)
    }
    return 0
  }

  /** Reads on until so many bytes are there. */
  async #fill(bytes: number): Promise<void> {
    while (this.#rest.length < bytes) {
      const chunk = await this.#read()
      if (chunk === undefined) throw new Error('unexpected end of multipart data')
      // Most often nothing is left over, and nothing is copied.
      this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    }
  }
}

function parseHeaders(text: string): Map<string, string> {
  const headers = new Map<string, string>()
  // A line that begins with white space continues the one before it.
  const lines = text.replaceAll(/\r\n[ \t]+/g, ' ').split('\r\n')
  for (const line of lines) {
    if (line === '') continue
    const [, name, value] = /^([!-9;-~]+):[ \t]*([^\r\n]*)$/.exec(line) ?? []
    if (name === undefined || value === undefined) throw new Error('malformed header of a part')
    const key = name.toLowerCase()
    if (!headers.has(key)) headers.set(key, value.trim())
  }
  return headers
}

const EXTENDED_FILENAME = /;\s*filename\*\s*=\s*utf-8'[^']*'([^;\s]*)/i
const FILENAME = /;\s*filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s";]+))/i

/** The `filename` of a Content-Disposition: quoted, bare, or in the extended form of RFC 8187 (`filename*=UTF-8''…`), which goes first. */
export function filenameOf(disposition: string): string | undefined {
  const extended = EXTENDED_FILENAME.exec(disposition)?.[1]
  if (extended !== undefined) {
    try {
      return decodeURIComponent(extended)
    } catch {
      // Not what it claims to be: the plain form stands.
    }
  }
  const [, quoted, bare] = FILENAME.exec(disposition) ?? []
  // As in Go, a backslash before anything else stands for itself: it is a path of Windows.
  return quoted?.replaceAll(/\\(["\\])/g, '$1') ?? bare
}
