import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import type { CID } from 'multiformats/cid'
import { FingerprintSet } from '../blocks/fingerprint-set.ts'
import { badPath, IpfsNodeError, isFailure } from '../errors.ts'
import { blockKey, dagBlocks, writeCar } from '../unixfs/car.ts'
import { describe, resolvePath, type Entry } from '../unixfs/explore.ts'
import { readFile, type ReadBlock } from '../unixfs/read-file.ts'
import type { Block, DirectoryEntry } from '../types.ts'
import { contentType, SNIFF_BYTES, typeOfName } from './content-type.ts'
import { encodePath, MAX_LISTED_ENTRIES, renderListing } from './listing.ts'
import { parseRange, type ByteRange } from './range.ts'

/** The content of a CID never changes. */
const FOREVER = 'public, max-age=29030400, immutable'
/** A listing's looks may. */
const A_WEEK = 'public, max-age=604800'

export interface GatewayRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
}

interface Access {
  readonly read: ReadBlock
  /** Until the first byte is sent. */
  readonly opening: AbortSignal
  readonly signal: AbortSignal
}

type Format = 'raw' | 'car' | undefined

/** Answers a request, or throws before anything has been sent. */
export async function answer(
  request: GatewayRequest,
  response: ServerResponse,
  access: Access,
): Promise<void> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.writeHead(405, { allow: 'GET, HEAD', 'content-type': 'text/plain; charset=utf-8' })
    response.end('only GET and HEAD are allowed: this gateway is read-only\n')
    return
  }
  const { path, query } = parseUrl(request.url)
  const format = parseFormat(query, request.headers)
  const crossed: Block[] = []
  const read: ReadBlock = async (cid, signal) => {
    const data = await access.read(cid, signal)
    if (format === 'car') crossed.push({ cid, data })
    return data
  }
  const cid = await resolvePath(path, read, access.opening)
  const reply: Reply = { request, response, access, path, cid }
  response.setHeader('x-ipfs-path', encodePath(path))
  response.setHeader('x-content-type-options', 'nosniff')
  if (format === 'raw') await sendBlock(reply)
  else if (format === 'car') await sendCar(reply, crossed, query.get('dag-scope'))
  else await sendContent(reply)
}

interface Reply {
  readonly request: GatewayRequest
  readonly response: ServerResponse
  readonly access: Access
  /** Decoded, from `/ipfs/` on. */
  readonly path: string
  readonly cid: CID
}

async function sendContent(reply: Reply): Promise<void> {
  const { path, cid, access } = reply
  if (isNotModified(reply, `"${cid}"`, FOREVER)) return
  const entry = await describe(cid, path, access.read, access.opening)
  if (entry.kind === 'file') {
    await sendFile(reply, entry, path.split('/').at(-1) ?? '')
    return
  }
  const index = await findIndex(reply)
  if (index === undefined) return await sendListing(reply, entry.list())
  // Relative links in the page lead into the directory only when its address ends in a slash.
  const [address = '', query] = reply.request.url.split('?', 2)
  if (!address.endsWith('/')) {
    const location = query === undefined ? `${encodePath(path)}/` : `${encodePath(path)}/?${query}`
    reply.response.writeHead(301, { location }).end()
    return
  }
  await sendFile(reply, index, 'index.html')
}

async function findIndex({
  path,
  access,
  cid,
}: Reply): Promise<(Entry & { readonly kind: 'file' }) | undefined> {
  try {
    const index = await resolvePath(`/ipfs/${cid}/index.html`, access.read, access.opening)
    const entry = await describe(index, `${path}/index.html`, access.read, access.opening)
    return entry.kind === 'file' ? entry : undefined
  } catch (error) {
    if (isFailure(error, 'IPFS_PATH_MISSING')) return undefined
    throw error
  }
}

async function sendFile(
  reply: Reply,
  file: { readonly cid: CID; readonly size: number },
  name: string,
): Promise<void> {
  const { request, access } = reply
  const etag = `"${reply.cid}"`
  const ifRange = request.headers['if-range']
  const range =
    ifRange === undefined || ifRange === etag ? parseRange(request.headers.range, file.size) : undefined
  const common = { etag, 'cache-control': FOREVER, 'accept-ranges': 'bytes' }
  if (range === 'unsatisfiable') {
    reply.response.writeHead(416, { ...common, 'content-range': `bytes */${file.size}` }).end()
    return
  }
  const start = typeOfName(name) === undefined ? await startOf(file, access) : new Uint8Array(0)
  const { from, to }: ByteRange = range ?? { from: 0, to: file.size }
  const headers: OutgoingHttpHeaders = {
    ...common,
    'content-type': contentType(name, start),
    'content-length': to - from,
    ...(range === undefined ? {} : { 'content-range': `bytes ${from}-${to - 1}/${file.size}` }),
  }
  const bytes = readFile(file, from, to, (cid, stop) =>
    access.read(cid, AbortSignal.any([access.signal, stop])),
  )
  await stream(reply, range === undefined ? 200 : 206, headers, bytes)
}

async function startOf(
  file: { readonly cid: CID; readonly size: number },
  { read, opening }: Access,
): Promise<Uint8Array> {
  const end = Math.min(SNIFF_BYTES, file.size)
  const pieces = await Array.fromAsync(
    readFile(file, 0, end, (cid, stop) => read(cid, AbortSignal.any([opening, stop]))),
  )
  return Buffer.concat(pieces)
}

async function sendListing(reply: Reply, list: AsyncIterable<DirectoryEntry>): Promise<void> {
  const entries: DirectoryEntry[] = []
  let cut = false
  for await (const entry of list) {
    cut = entries.length >= MAX_LISTED_ENTRIES
    if (cut) break
    entries.push(entry)
  }
  const page = Buffer.from(renderListing({ path: reply.path, entries, cut }))
  const headers: OutgoingHttpHeaders = {
    etag: `W/"DirIndex-${reply.cid}"`,
    'cache-control': A_WEEK,
    'content-type': 'text/html; charset=utf-8',
    'content-length': page.length,
    'content-security-policy': "default-src 'none'",
  }
  await stream(reply, 200, headers, [page])
}

async function sendBlock(reply: Reply): Promise<void> {
  const { cid, access } = reply
  const etag = `"${cid}.raw"`
  if (isNotModified(reply, etag, FOREVER)) return
  const data = await access.read(cid, access.opening)
  const headers: OutgoingHttpHeaders = {
    etag,
    'cache-control': FOREVER,
    'content-type': 'application/vnd.ipld.raw',
    'content-length': data.length,
    'content-disposition': `attachment; filename="${cid}.bin"`,
  }
  await stream(reply, 200, headers, [data])
}

/** The blocks the path led through, then the DAG at its end, depth first. */
async function sendCar(reply: Reply, crossed: readonly Block[], scope: string | null): Promise<void> {
  const { cid, access } = reply
  if (scope !== null && scope !== 'all' && scope !== 'block') {
    throw new IpfsNodeError(`dag-scope=${scope} is not supported: use all or block`, {
      code: 'IPFS_BAD_OPTION',
      option: 'dag-scope',
    })
  }
  const etag = `W/"${cid}.car.${scope ?? 'all'}"`
  if (isNotModified(reply, etag, FOREVER)) return
  // So that a missing root is told by the status.
  const root = { cid, data: await access.read(cid, access.opening) }
  const headers: OutgoingHttpHeaders = {
    etag,
    'cache-control': FOREVER,
    'content-type': 'application/vnd.ipld.car; version=1; order=dfs; dups=n',
    'content-disposition': `attachment; filename="${cid}.car"`,
    'accept-ranges': 'none',
  }
  await stream(reply, 200, headers, writeCar(cid, carBlocks(root, crossed, scope, access)))
}

async function* carBlocks(
  root: Block,
  crossed: readonly Block[],
  scope: string | null,
  { read, signal }: Access,
): AsyncGenerator<Block> {
  const seen = new FingerprintSet()
  for (const block of crossed) {
    if (!block.cid.equals(root.cid) && seen.add(blockKey(block.cid))) yield block
  }
  if (scope === 'block') yield root
  else yield* dagBlocks(root.cid, (cid, stop) => read(cid, AbortSignal.any([signal, stop])), { seen })
}

async function stream(
  { request, response, access }: Reply,
  status: number,
  headers: OutgoingHttpHeaders,
  bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<void> {
  if (request.method === 'HEAD') {
    response.writeHead(status, headers).end()
    return
  }
  const iterator = opened(bytes)
  // The first piece is awaited before the headers go out, so that a failure can still be told by a status.
  const first = await iterator.next()
  response.writeHead(status, headers)
  const all = (async function* () {
    if (first.done !== true) yield first.value
    yield* iterator
  })()
  await pipeline(all, response, { signal: access.signal })
}

async function* opened(bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* bytes
}

/** Answers 304 when the client has it (weak comparison, RFC 9110 section 13.1.2). */
function isNotModified({ request, response }: Reply, etag: string, cacheControl: string): boolean {
  const header = request.headers['if-none-match']
  if (header === undefined) return false
  const opaque = (tag: string) => tag.trim().replace(/^W\//, '')
  if (header.trim() !== '*' && !header.split(',').map(opaque).includes(opaque(etag))) return false
  response.writeHead(304, { etag, 'cache-control': cacheControl }).end()
  return true
}

function parseUrl(url: string): { readonly path: string; readonly query: URLSearchParams } {
  const [address = '', query = ''] = url.split('?', 2)
  const names = address.split('/').filter(name => name !== '')
  try {
    const decoded = names.map(decodeURIComponent)
    if (decoded.some(name => name.includes('/'))) throw badPath(address, 'a name must not contain a slash')
    if (decoded[0] !== 'ipfs' && decoded[0] !== 'ipns') throw badPath(address, 'it must start with /ipfs/')
    return { path: `/${decoded.join('/')}`, query: new URLSearchParams(query) }
  } catch (error) {
    if (error instanceof URIError) throw badPath(address, 'its percent-encoding is wrong', error)
    throw error
  }
}

function parseFormat(query: URLSearchParams, headers: IncomingHttpHeaders): Format {
  const wanted = query.get('format')
  if (wanted === 'raw' || wanted === 'car') return wanted
  if (wanted !== null) {
    throw new IpfsNodeError(`format=${wanted} is not supported: use raw or car`, {
      code: 'IPFS_BAD_OPTION',
      option: 'format',
    })
  }
  const accept = headers.accept ?? ''
  if (accept.includes('application/vnd.ipld.raw')) return 'raw'
  return accept.includes('application/vnd.ipld.car') ? 'car' : undefined
}
