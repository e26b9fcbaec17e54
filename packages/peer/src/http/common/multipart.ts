/** `multipart/form-data` uploads as Kubo's clients send them (reference api.md 1.6 "Multipart layout"). */
import type { IncomingMessage } from 'node:http'
import { createStallGuard, errorMessage, lend, systemClock, type Clock } from '@ipfs-cluster/base'
import type { AddPart } from '../../adder/index.ts'
import { HttpError } from './errors.ts'
import { filenameOf, readParts, type FormPart, type ReadChunk } from './part-reader.ts'

/** A client that is waited for and sends nothing for so long is taken to be gone: with it goes what its upload holds on all destinations. */
export const UPLOAD_STALL_MS = 10 * 60_000

/**
 * The parts of an upload in order, with back-pressure down to the socket. Ends with an error when the upload is cut short, stands still
 * (`UPLOAD_STALL_MS`) or is not what it says. Leaving early leaves the request to the caller, paused.
 *
 * @throws HttpError `HTTP_BAD_UPLOAD` at once when the request is no multipart upload.
 */
export function uploadParts(
  request: IncomingMessage,
  signal: AbortSignal,
  clock: Clock = systemClock,
): AsyncIterable<AddPart> {
  const boundary = boundaryOf(request.headers['content-type'] ?? '')
  return addParts(request, boundary, signal, clock)
}

async function* addParts(
  request: IncomingMessage,
  boundary: string,
  signal: AbortSignal,
  clock: Clock,
): AsyncGenerator<AddPart> {
  using body = readBody(request, signal, clock)
  try {
    for await (const part of readParts(body.read, boundary)) yield addPart(part)
  } catch (error) {
    throw badUpload(error)
  }
}

function addPart({ headers, content }: FormPart): AddPart {
  // A part without a file name is a file without a name.
  const filename = filenameOf(headers.get('content-disposition') ?? '') ?? ''
  const kind = partKind(headers.get('content-type') ?? '')
  // Whatever a folder has for content has no meaning; it is skipped.
  return { path: partPath(filename), kind, content: kind === 'directory' ? nothing() : contentOf(content) }
}

interface BodyReader extends Disposable {
  readonly read: ReadChunk
}

/**
 * A body, chunk by chunk. Unlike the request's own iterator it can be left while it waits, and does not end the request then: an answer
 * is to follow.
 */
function readBody(request: IncomingMessage, signal: AbortSignal, clock: Clock): BodyReader {
  const chunks: Buffer[] = []
  let failure: unknown
  let waiting: (() => void) | undefined
  const wake = () => {
    waiting?.()
    waiting = undefined
  }
  const fail = (error: unknown) => {
    failure ??= error
    wake()
  }
  const guard = createStallGuard(clock, UPLOAD_STALL_MS, () => waiting !== undefined)
  const onData = (chunk: Buffer) => {
    // Node makes a buffer for each.
    lend(chunk)
    chunks.push(chunk)
    request.pause()
    guard.progress()
    wake()
  }
  const onClose = () => {
    if (!request.complete) fail(new Error('the upload ended early'))
    else wake()
  }
  const onAbort = () => fail(signal.reason)
  const onStall = () => fail(new Error(`nothing came for ${UPLOAD_STALL_MS / 60_000} minutes`))
  request.pause()
  request.on('data', onData).on('end', wake).on('close', onClose).on('error', fail)
  signal.addEventListener('abort', onAbort)
  guard.signal.addEventListener('abort', onStall)
  if (signal.aborted) onAbort()
  return {
    async read() {
      while (true) {
        if (failure !== undefined) throw failure
        const chunk = chunks.shift()
        if (chunk !== undefined) return chunk
        if (request.readableEnded) return undefined
        if (request.destroyed) throw new Error('the upload ended early')
        const { promise, resolve } = Promise.withResolvers<void>()
        waiting = resolve
        guard.progress()
        request.resume()
        await promise
      }
    },
    [Symbol.dispose]() {
      guard[Symbol.dispose]()
      signal.removeEventListener('abort', onAbort)
      request.off('data', onData).off('end', wake).off('close', onClose)
      request.pause()
      fail(new Error('nobody reads the upload any more'))
      // `fail` stays on 'error': without a listener a late one would end the process.
    },
  }
}

/**
 * What stands between the parts. Texts are those of Go's `http.ErrNotMultipart` and `ErrMissingBoundary`.
 *
 * @throws HttpError `HTTP_BAD_UPLOAD`
 */
function boundaryOf(type: string): string {
  const [, parameters] = /^multipart\/(?:form-data|mixed)\s*(;.*)?$/i.exec(type.trim()) ?? [undefined, 'none']
  const bad = (message: string) => new HttpError(message, { code: 'HTTP_BAD_UPLOAD' })
  if (parameters === undefined) throw bad('no multipart boundary param in Content-Type')
  const [, quoted, bare] = /;\s*boundary=(?:"([^"]+)"|([^\s";]+))/i.exec(parameters) ?? []
  const boundary = quoted ?? bare
  if (boundary === undefined) {
    const isMissing = !/boundary/i.test(parameters) && parameters !== 'none'
    throw bad(
      isMissing
        ? 'no multipart boundary param in Content-Type'
        : "request Content-Type isn't multipart/form-data",
    )
  }
  return boundary
}

/** The file name is escaped as in a URL query. A name that is not stands for itself. @throws Error when it is not UTF-8. */
function partPath(filename: string): string {
  const spaced = filename.replaceAll('+', ' ')
  try {
    return decodeURIComponent(spaced)
  } catch (cause) {
    const isEscaped = !/%(?![0-9a-f]{2})/i.test(filename)
    if (isEscaped) throw new Error(`the file name ${JSON.stringify(filename)} is not UTF-8`, { cause })
    // Not escaped at all: some clients send the bare name.
    return filename
  }
}

function partKind(type: string): AddPart['kind'] {
  const mimeType = type.split(';', 1)[0]?.trim().toLowerCase()
  if (mimeType === 'application/x-directory') return 'directory'
  return mimeType === 'application/symlink' ? 'symlink' : 'file'
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

async function* contentOf(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* content
  } catch (error) {
    throw badUpload(error)
  }
}

function badUpload(cause: unknown): unknown {
  if (cause instanceof HttpError) return cause
  return new HttpError(
    `error reading request: ${errorMessage(cause)}`,
    { code: 'HTTP_BAD_UPLOAD' },
    { cause },
  )
}
