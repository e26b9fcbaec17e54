/** Uploads byte by byte, for those that do not end as they should. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export const BOUNDARY = 'raw-upload-boundary'

/** How a client leaves in the middle of an upload. */
export type Leaving = 'close' | 'reset' | 'half-close'

export interface RawUpload {
  /** Sends some of the body. Resolves when there is room for more; false when the peer has closed the connection. */
  write(bytes: string | Uint8Array): Promise<boolean>
  /** Ends the body. */
  end(): void
  leave(how: Leaving): void
  /** Everything the peer has said, when it has closed the connection. */
  readonly answer: Promise<string>
}

/** The head of a file's part. */
export function partHead(name: string, more = ''): string {
  return (
    `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="${encodeURIComponent(name)}"\r\n` +
    `Content-Type: application/octet-stream\r\n${more}\r\n`
  )
}

export const BODY_END = `\r\n--${BOUNDARY}--\r\n`

/** @param query of `POST /add`. */
export async function startUpload(restUrl: string, query: string): Promise<RawUpload> {
  const { hostname, port } = new URL(restUrl)
  const socket: Socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true })
  let text = ''
  socket.setEncoding('latin1').on('data', chunk => (text += String(chunk)))
  // A connection that the peer resets is one that it has closed.
  socket.on('error', () => undefined)
  socket.on('end', () => socket.end())
  const answer = new Promise<string>(resolve => socket.once('close', () => resolve(text)))
  await once(socket, 'connect')
  socket.write(
    `POST /add?${query} HTTP/1.1\r\nHost: ${hostname}\r\nTransfer-Encoding: chunked\r\n` +
      `Content-Type: multipart/form-data; boundary=${BOUNDARY}\r\n\r\n`,
  )
  return {
    async write(bytes) {
      const data = Buffer.from(bytes)
      if (data.length === 0) return true
      socket.write(`${data.length.toString(16)}\r\n`)
      socket.write(data)
      if (!socket.write('\r\n') && !socket.destroyed) await Promise.race([once(socket, 'drain'), answer])
      return !socket.destroyed
    },
    end: () => void socket.write('0\r\n\r\n'),
    leave(how) {
      if (how === 'close') socket.destroy()
      if (how === 'reset') socket.resetAndDestroy()
      if (how === 'half-close') socket.end()
    },
    answer,
  }
}

/** Bytes that do not repeat, the same for the same seed, made as they are needed. */
export function* seededBytes(seed: string, length: number, chunk = 64 * 1024): Generator<Buffer> {
  for (let at = 0; at < length; at += chunk) {
    const block = createHash('sha256').update(`${seed} ${at}`).digest()
    const bytes = Buffer.alloc(Math.min(chunk, length - at))
    for (let i = 0; i < bytes.length; i += 32) {
      block.writeUInt32LE(i, 0)
      block.copy(bytes, i)
    }
    yield bytes
  }
}
