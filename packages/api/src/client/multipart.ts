import { utf8 } from '@ipfs-cluster/base'
import type { AddPart } from '../route.ts'

const CONTENT_TYPES = {
  file: 'application/octet-stream',
  directory: 'application/x-directory',
  symlink: 'application/symlink',
} as const

/** The `multipart/form-data` body of an upload, laid out as by Kubo's clients; each part is read when the one before is sent. */
export async function* multipartBody(
  parts: AsyncIterable<AddPart>,
  boundary: string,
): AsyncGenerator<Uint8Array> {
  let separator = ''
  for await (const part of parts) {
    const headers = [
      `${separator}--${boundary}`,
      `Content-Disposition: form-data; name="file"; filename="${queryEscape(part.path)}"`,
      `Content-Type: ${CONTENT_TYPES[part.kind]}`,
      ...(part.absPath === undefined ? [] : [`abspath-encoded: ${queryEscape(part.absPath)}`]),
    ]
    yield utf8(`${headers.join('\r\n')}\r\n\r\n`)
    yield* part.content
    separator = '\r\n'
  }
  yield utf8(`${separator}--${boundary}--\r\n`)
}

/** As Go's `url.QueryEscape`. */
export function queryEscape(text: string): string {
  return encodeURIComponent(text.toWellFormed())
    .replace(/[!'()*]/g, character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+')
}
