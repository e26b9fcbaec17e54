/** Uploads to a peer: multipart bodies, their content type, and CARs. */
import { utf8 } from '@ipfs-cluster/base'
import { CarError, readCar } from '@ipfs-cluster/ipfs/car'
import * as dagCbor from '@ipld/dag-cbor'
import * as dagPb from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { createHash } from 'node:crypto'
import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { importCar } from '../../../packages/peer/src/adder/car-import.ts'
import { AdderError } from '../../../packages/peer/src/adder/index.ts'
import { HttpError, uploadParts } from '../../../packages/peer/src/http/common/index.ts'
import { CIDS, texts } from '../corpus.ts'
import { check, pieces, refusedBy, type Target } from '../target.ts'
import { varintBytes } from '../trees.ts'

const MIB = 1024 * 1024

const BOUNDARY = 'b0undary'
function multipart(parts: readonly { readonly head: string; readonly body: string }[]): string {
  return `${parts.map(({ head, body }) => `--${BOUNDARY}\r\n${head}\r\n\r\n${body}\r\n`).join('')}--${BOUNDARY}--\r\n`
}
const file = (name: string, type = 'application/octet-stream') =>
  `Content-Disposition: form-data; name="file"; filename="${name}"\r\nContent-Type: ${type}\r\nAbspath-Encoded: %2Fx`
const UPLOADS = [
  multipart([
    { head: file('a%2Fb'), body: 'hello' },
    { head: file('d', 'application/x-directory'), body: '' },
  ]),
  multipart([
    { head: file('l', 'application/symlink'), body: '/target' },
    { head: file(''), body: '' },
    { head: file('+%zz'), body: 'x'.repeat(300) },
  ]),
  multipart([
    { head: 'Content-Disposition: form-data; name="field"', body: 'value' },
    { head: file('c'), body: `--${BOUNDARY}x` },
  ]),
]

function requestWith(body: readonly Uint8Array[], contentType: string, complete: boolean): IncomingMessage {
  const request = new IncomingMessage(new Socket())
  request.headers['content-type'] = contentType
  for (const piece of body) request.push(piece)
  if (complete) {
    request.complete = true
    request.push(null)
  } else queueMicrotask(() => request.destroy())
  return request
}

async function takeUpload(request: IncomingMessage): Promise<number> {
  const stop = new AbortController()
  let bytes = 0
  try {
    for await (const part of uploadParts(request, stop.signal)) {
      check(['file', 'directory', 'symlink'].includes(part.kind), 'a part has a kind')
      for await (const chunk of part.content) bytes += chunk.length
    }
  } finally {
    stop.abort(new Error('done'))
    request.destroy()
  }
  return bytes
}

const upload: Target = {
  name: 'multipart upload',
  format: 'text',
  corpus: () => texts(UPLOADS),
  tokens: [
    `--${BOUNDARY}`,
    `\r\n--${BOUNDARY}--\r\n`,
    `\r\n--${BOUNDARY}\r\n`,
    '\r\n\r\n',
    'Content-Disposition: form-data; name="file"; filename="',
    "filename*=utf-8''%e2",
  ].map(utf8),
  refusal: refusedBy(HttpError),
  maxBytes: 256 * 1024,
  // Streams of Node cost some KB for each piece, and a piece may be one byte.
  allocation: { perByte: 16_000, constant: 4 * MIB },
  share: 0.1,
  async run(input, random) {
    const request = requestWith(
      pieces(input, random),
      `multipart/form-data; boundary=${BOUNDARY}`,
      random.int(10) > 0,
    )
    const bytes = await takeUpload(request)
    check(bytes <= input.length, 'no more content than was sent')
    return true
  },
}

const uploadType: Target = {
  name: 'multipart content type',
  format: 'text',
  corpus: () =>
    texts([
      `multipart/form-data; boundary=${BOUNDARY}`,
      `multipart/form-data; charset=utf-8; boundary="${BOUNDARY}"`,
      "multipart/form-data; boundary*=utf-8''b0undary",
    ]),
  refusal: refusedBy(HttpError),
  maxBytes: 16 * 1024,
  allocation: { perByte: 16_000, constant: 4 * MIB },
  share: 0.1,
  async run(input) {
    // Node takes a header as latin1.
    await takeUpload(requestWith([utf8(UPLOADS[0] as string)], Buffer.from(input).toString('latin1'), true))
    return true
  },
}

const sha256 = (data: Uint8Array) =>
  createDigest(0x12, new Uint8Array(createHash('sha256').update(data).digest()))
const leaf = new Uint8Array(40).fill(3)
const leafCid = CID.createV1(0x55, sha256(leaf))
const rootUnixfs = new UnixFS({ type: 'file', blockSizes: [40n] })
const root = dagPb.encode(
  dagPb.prepare({ Data: rootUnixfs.marshal(), Links: [{ Name: '', Tsize: 40, Hash: leafCid }] }),
)
const rootCid = CID.createV1(0x70, sha256(root))
const cborBlock = dagCbor.encode({ a: [1, leafCid], b: 'x' })
const section = (...parts: Uint8Array[]) => {
  const bytes = Buffer.concat(parts)
  return Buffer.concat([varintBytes(bytes.length), bytes])
}
const CARS = [
  Buffer.concat([
    section(dagCbor.encode({ version: 1, roots: [rootCid] })),
    section(rootCid.bytes, root),
    section(leafCid.bytes, leaf),
  ]),
  Buffer.concat([
    section(dagCbor.encode({ version: 1, roots: [leafCid] })),
    section(CID.createV1(0x71, sha256(cborBlock)).bytes, cborBlock),
    section((CIDS[6] as CID).bytes, (CIDS[6] as CID).multihash.digest),
  ]),
]

/** One block of any codec under its own hash: so that every input gets as far as the decoders of blocks. */
function carOfOne(data: Uint8Array, code: number): Uint8Array {
  const cid = CID.createV1(code, sha256(data))
  return Buffer.concat([section(dagCbor.encode({ version: 1, roots: [cid] })), section(cid.bytes, data)])
}

/** Sections with true hashes again after a mutation, so that what is behind the hash is reached. */
function rehashed(input: Uint8Array): Uint8Array {
  const out: Uint8Array[] = []
  let at = 0
  for (let i = 0; at < input.length; i++) {
    let size = 0
    let scale = 1
    while (at < input.length) {
      const byte = input[at++] as number
      size += (byte & 0x7f) * scale
      scale *= 128
      if (byte < 0x80) break
    }
    const body = input.subarray(at, at + size)
    at += size
    const isHashed = i > 0 && body[0] === 1 && body[2] === 0x12 && body[3] === 32 && body.length >= 36
    const data = body.subarray(36)
    out.push(isHashed ? section(body.subarray(0, 4), sha256(data).digest, data) : section(body))
  }
  return Buffer.concat(out)
}

/** Wraps a CARv1 into a CARv2. */
function inV2(bytes: Uint8Array, padding: number, index: number): Uint8Array {
  const header = new DataView(new ArrayBuffer(40))
  header.setBigUint64(16, BigInt(51 + padding), true)
  header.setBigUint64(24, BigInt(bytes.length), true)
  header.setBigUint64(32, BigInt(index === 0 ? 0 : 51 + padding + bytes.length), true)
  const pragma = dagCbor.encode({ version: 2 })
  const parts = [Uint8Array.of(pragma.length), pragma, new Uint8Array(header.buffer)]
  return Buffer.concat([...parts, new Uint8Array(padding), bytes, new Uint8Array(index)])
}

const car: Target = {
  name: 'car',
  format: 'bytes',
  corpus: () => [...CARS, root, cborBlock],
  tokens: [leafCid.bytes, rootCid.bytes, utf8('roots'), utf8('version')],
  refusal: refusedBy(AdderError, CarError),
  maxBytes: MIB,
  // Read twice, and half a MiB of a section is allocated before it has come.
  allocation: { perByte: 2_000, constant: 3 * MIB },
  async run(input, random) {
    const forms = [
      () => input,
      () => rehashed(input),
      () => carOfOne(input, [0x70, 0x71, 0x55][random.int(3)] as number),
      () => inV2(input, random.int(300), random.int(2) * 8),
    ]
    const bytes = (forms[random.int(4)] as () => Uint8Array)()
    const content = () =>
      (async function* () {
        yield* pieces(bytes, random)
      })()
    let total = 0
    await importCar(
      { path: '', kind: 'file', content: content() },
      async ({ data }) => void (total += data.length),
      { requireComplete: random.int(2) === 0, withoutRoot: random.int(2) === 0, memoryBytes: 256 },
    )
    check(total <= bytes.length, 'no more blocks than there are bytes')
    const { blocks } = await readCar(content())
    for await (const _ of blocks);
    return true
  },
}

export const uploadTargets: readonly Target[] = [upload, uploadType, car]
