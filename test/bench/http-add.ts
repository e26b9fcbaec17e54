/** Uploads of files as a form, made beforehand so that making them is not measured. */
import { createCipheriv, hash } from 'node:crypto'
import { request, type IncomingMessage } from 'node:http'
import { once } from 'node:events'
import { encode as encodeCbor } from '@ipld/dag-cbor'
import { encode as encodeDagPb } from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'

/** As long as those of Go clients, `ipfs add` among them: the longer it is, the larger the steps in which a server may look for it. */
const BOUNDARY = 'bench-boundary'.padEnd(60, '-')
const MIB = 1024 * 1024
const CHUNK_BYTES = 256 * 1024
const RAW = 0x55
const DAG_PB = 0x70
const SHA2_256 = 0x12

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

export function bigFile(mebibytes: number, seed = 1): Files {
  return form([content(mebibytes * MIB, seed)])
}

export function smallFiles(count: number, seed = 2): Files {
  return form(Array.from({ length: count }, (_, i) => content(4096, seed + i)))
}

/** One file of raw leaves, as a CARv1. */
export function bigCar(mebibytes: number, seed = 0): Files {
  const data = content(mebibytes * MIB, seed)
  const leaves = Array.from({ length: Math.ceil(data.length / CHUNK_BYTES) }, (_, i) => {
    const bytes = data.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES)
    return { cid: cidOf(RAW, bytes), bytes }
  })
  const file = new UnixFS({ type: 'file', blockSizes: leaves.map(({ bytes }) => BigInt(bytes.length)) })
  const links = leaves.map(({ cid, bytes }) => ({ Name: '', Hash: cid, Tsize: bytes.length }))
  const node = encodeDagPb({ Data: file.marshal(), Links: links })
  const root = { cid: cidOf(DAG_PB, node), bytes: node }
  const header = encodeCbor({ roots: [root.cid], version: 1 })
  const sections = [root, ...leaves].flatMap(({ cid, bytes }) => [
    varint(cid.bytes.length + bytes.length),
    cid.bytes,
    bytes,
  ])
  const car = Buffer.concat([varint(header.length), header, ...sections])
  return { ...form([car]), bytes: data.length }
}

function cidOf(codec: number, bytes: Uint8Array): CID {
  return CID.createV1(codec, createDigest(SHA2_256, hash('sha256', bytes, 'buffer')))
}

function varint(value: number): Uint8Array {
  const bytes: number[] = []
  let rest = value
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest & 0x7f) | 0x80)
  return Uint8Array.of(...bytes, rest)
}

function form(files: readonly Buffer[]): Files {
  const folder = files.length === 1 ? '' : 'folder%2F'
  const parts = files.flatMap((file, i) => [
    Buffer.from(
      `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="${folder}${i}"\r\nContent-Type: application/octet-stream\r\n\r\n`,
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
  // Once there is an answer it says more than a write that failed.
  asking.on('error', () => undefined)
  const [response] = (await once(asking, 'response')) as [IncomingMessage]
  let text = ''
  for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>)
    text = (text + chunk).slice(-2000)
  if (response.statusCode !== 200 || response.trailers['x-stream-error']) {
    throw new Error(`${url}: ${response.statusCode} ${response.trailers['x-stream-error'] ?? text}`)
  }
  return (performance.now() - began) / 1000
}
