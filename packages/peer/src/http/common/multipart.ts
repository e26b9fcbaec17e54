/** `multipart/form-data` uploads as Kubo's clients send them (reference api.md 1.6 "Multipart layout"). */
import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { Busboy, type BusboyHeaders } from '@fastify/busboy'
import { asError, Channel, errorMessage } from '@ipfs-cluster/base'
import type { AddPart } from '../../adder/index.ts'
import { HttpError } from './errors.ts'

/**
 * Parts that wait to be taken. The parser stops at a part whose content is not read, so what waits are the parts of one network chunk;
 * the limit only guards against a part without content repeated without end.
 */
const WAITING_PARTS_MAX = 65_536

/**
 * The parts of an upload in order, with back-pressure down to the socket. Ends with an error when the upload is cut short.
 *
 * @throws HttpError `HTTP_BAD_UPLOAD` at once when the request is no multipart upload.
 */
export function uploadParts(request: IncomingMessage, signal: AbortSignal): AsyncIterable<AddPart> {
  const bad = (cause: unknown) =>
    new HttpError(`error reading request: ${errorMessage(cause)}`, { code: 'HTTP_BAD_UPLOAD' }, { cause })
  const headers = { ...request.headers, 'content-type': formData(request.headers['content-type'] ?? '') }
  let parser: InstanceType<typeof Busboy>
  try {
    // A part without a file name is a file without a name.
    parser = new Busboy({ headers: headers as BusboyHeaders, preservePath: true, isPartAFile: () => true })
  } catch (error) {
    throw bad(error)
  }
  const parts = new Channel<AddPart>(WAITING_PARTS_MAX)
  let unread: Readable | undefined
  let stopped = false
  const stop = (error: unknown) => {
    if (stopped) return
    stopped = true
    const failure = bad(error)
    parts.fail(failure)
    request.unpipe(parser)
    parser.destroy()
    // Whoever reads a part must not take its beginning for all of it.
    unread?.destroy(failure)
  }
  parser.on('file', (_field, content, filename: string | undefined, _encoding, mimeType) => {
    const kind = partKind(mimeType)
    // A folder has no content that anybody would read, and an unread part stops the parser.
    if (kind === 'directory') content.resume()
    const bytes: AsyncIterable<Uint8Array> = kind === 'directory' ? nothing() : contentOf(content, bad)
    const part: AddPart = { path: partPath(filename ?? ''), kind, content: bytes }
    unread = content
    content.once('end', () => {
      if (unread === content) unread = undefined
    })
    // Without a listener a late error of an unread part would end the process.
    content.on('error', stop)
    if (!parts.tryPush(part)) stop(new Error(`more than ${WAITING_PARTS_MAX} parts without content in a row`))
  })
  parser.on('finish', () => parts.end())
  parser.on('error', stop)
  request.once('error', stop)
  request.once('close', () => {
    if (!request.complete) stop(new Error('the upload ended early'))
  })
  signal.addEventListener('abort', () => stop(asError(signal.reason)), { once: true })
  request.pipe(parser)
  return parts
}

/**
 * The type of an upload in the form that the parser takes. Texts are those of Go's `http.ErrNotMultipart` and `ErrMissingBoundary`.
 *
 * @throws HttpError `HTTP_BAD_UPLOAD`
 */
function formData(type: string): string {
  const [, parameters] = /^multipart\/(?:form-data|mixed)\s*(;.*)?$/i.exec(type.trim()) ?? [undefined, 'none']
  const bad = (message: string) => new HttpError(message, { code: 'HTTP_BAD_UPLOAD' })
  if (parameters === undefined) throw bad('no multipart boundary param in Content-Type')
  if (!/;\s*boundary=("[^"]+"|[^\s";]+)/i.test(parameters)) {
    const isMissing = !/boundary/i.test(parameters) && parameters !== 'none'
    throw bad(
      isMissing
        ? 'no multipart boundary param in Content-Type'
        : "request Content-Type isn't multipart/form-data",
    )
  }
  return `multipart/form-data${parameters}`
}

/** The file name is escaped as in a URL query. A name that is not stands for itself. */
function partPath(filename: string): string {
  const spaced = filename.replaceAll('+', ' ')
  try {
    return decodeURIComponent(spaced)
  } catch {
    // Not escaped at all: some clients send the bare name.
    return filename
  }
}

function partKind(mimeType: string): AddPart['kind'] {
  if (mimeType === 'application/x-directory') return 'directory'
  return mimeType === 'application/symlink' ? 'symlink' : 'file'
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

/** The parser ends a part that is cut short with an error of its own. */
async function* contentOf(content: Readable, bad: (cause: unknown) => HttpError): AsyncGenerator<Uint8Array> {
  try {
    yield* content as AsyncIterable<Uint8Array>
  } catch (error) {
    throw error instanceof HttpError ? error : bad(error)
  }
}
