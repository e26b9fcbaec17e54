/** Uploads of files as a form, made beforehand so that making them is not measured. */
import { createCipheriv } from 'node:crypto'
import { request, type IncomingMessage } from 'node:http'
import { once } from 'node:events'

const BOUNDARY = 'bench-boundary'
const MIB = 1024 * 1024

export interface Files {
  readonly count: number
  /** Of their content. */
  readonly bytes: number
  readonly body: Buffer
}

/** The same bytes in every run, which no compression makes shorter. */
function content(length: number, seed: number): Buffer {
  const key = Buffer.alloc(16, seed % 251)
  const counter = Buffer.alloc(16)
  counter.writeUInt32BE(seed)
  return createCipheriv('aes-128-ctr', key, counter).update(Buffer.alloc(length))
}

export function bigFile(mebibytes: number): Files {
  return form([content(mebibytes * MIB, 1)])
}

export function smallFiles(count: number): Files {
  return form(Array.from({ length: count }, (_, i) => content(4096, i + 2)))
}

function form(files: readonly Buffer[]): Files {
  const parts = files.flatMap((file, i) => [
    Buffer.from(
      `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="folder%2F${i}"\r\nContent-Type: application/octet-stream\r\n\r\n`,
    ),
    file,
    Buffer.from('\r\n'),
  ])
  return {
    count: files.length,
    bytes: files.reduce((sum, file) => sum + file.length, 0),
    body: Buffer.concat([...parts, Buffer.from(`--${BOUNDARY}--\r\n`)]),
  }
}

/** Seconds until the whole answer is there. @throws when it is none of success. */
export async function addFiles(url: string, { body }: Files): Promise<number> {
  const began = performance.now()
  const asking = request(url, {
    method: 'POST',
    headers: {
      'Content-Type': `multipart/form-data; boundary=${BOUNDARY}`,
      'Content-Length': body.length,
    },
  })
  asking.end(body)
  const [response] = (await once(asking, 'response')) as [IncomingMessage]
  let text = ''
  for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>)
    text = (text + chunk).slice(-2000)
  if (response.statusCode !== 200 || response.trailers['x-stream-error']) {
    throw new Error(`${url}: ${response.statusCode} ${response.trailers['x-stream-error'] ?? text}`)
  }
  return (performance.now() - began) / 1000
}
