/**
 * A Kubo daemon's HTTP RPC in memory, with the answers of a real 0.44 (reference wire.md 10, interop.md item 10): pins, blocks,
 * paths, swarm. Pins are roots only: no DAG is walked.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { dagBlocks, readCar, writeCar } from '@ipfs-cluster/ipfs/car'
import { CID } from 'multiformats/cid'
import { matchFailure, type InjectedFailure } from './fake-kubo-failures.ts'
import { readParts } from './multipart.ts'
import { linksOf, testBlock } from './test-blocks.ts'

const CODECS: Readonly<Record<string, number>> = {
  raw: 0x55,
  'dag-pb': 0x70,
  'dag-cbor': 0x71,
  'dag-json': 0x0129,
}

export interface FakeKuboOptions {
  /** Time a pin takes. @default 0 */
  readonly pinDelayMs?: number
  /** Between two progress lines of a pin. @default 20 */
  readonly progressIntervalMs?: number
  /** Each progress line tells of one more block of 1000 bytes. @default false: it stays at 0 until the pin is done */
  readonly progressGrows?: boolean
  /** Pins wait for their root block instead of being done without. @default false */
  readonly needsBlocks?: boolean
  /** @default 10 GB, as Kubo's */
  readonly storageMax?: bigint
  readonly peerId?: string
  /** Commands that it does not have, such as `dag/import`. @default none */
  readonly without?: readonly string[]
  /** Listen on this unix socket instead of a loopback port. */
  readonly socketPath?: string
}

export interface FakeKubo extends AsyncDisposable {
  /** Multiaddr of the RPC. */
  readonly api: string
  /** By text of the CID (version 1). */
  readonly pins: Map<string, 'recursive' | 'direct'>
  /** By hex of the multihash. */
  readonly blocks: Map<string, Uint8Array>
  /** Addresses that swarm/connect was asked for. */
  readonly connects: string[]
  readonly swarm: string[]
  /** `pin/add?arg=…` of every request so far. */
  readonly requests: string[]
  /** Makes the next matching requests fail. */
  fail(failure: InjectedFailure): void
}

interface Call {
  readonly kubo: State
  readonly query: URLSearchParams
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Aborts when the client leaves. */
  readonly signal: AbortSignal
}

interface State {
  readonly pins: FakeKubo['pins']
  readonly blocks: FakeKubo['blocks']
  readonly connects: string[]
  readonly swarm: string[]
  readonly options: FakeKuboOptions
}

class KuboError extends Error {}

export async function createFakeKubo(options: FakeKuboOptions = {}): Promise<FakeKubo> {
  const state: State = { pins: new Map(), blocks: new Map(), connects: [], swarm: [], options }
  const requests: string[] = []
  const failures: InjectedFailure[] = []
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://kubo')
    const path = url.pathname.replace(/^\/api\/v0\//, '')
    requests.push(path + url.search)
    const left = new AbortController()
    response.on('close', () => left.abort())
    const call = { kubo: state, query: url.searchParams, request, response, signal: left.signal }
    answer(path, call, matchFailure(failures, path)).catch((error: unknown) => {
      if (!left.signal.aborted) response.destroy(error instanceof Error ? error : undefined)
    })
  })
  const listening = Promise.withResolvers<void>()
  server.once('error', listening.reject)
  if (options.socketPath === undefined) server.listen(0, '127.0.0.1', () => listening.resolve())
  else server.listen(options.socketPath, () => listening.resolve())
  await listening.promise
  const api =
    options.socketPath === undefined
      ? `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`
      : `/unix${options.socketPath}`
  return {
    api,
    ...state,
    requests,
    fail: failure => void failures.push(failure),
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>(resolve => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}

async function answer(path: string, call: Call, failure: InjectedFailure | undefined): Promise<void> {
  const { response } = call
  if (failure?.kind === 'refuse') return void response.destroy()
  if (failure?.kind === 'stall') return
  if (failure?.kind === 'error') return sendError(response, failure.message, failure.status)
  const handler = call.kubo.options.without?.includes(path) === true ? undefined : handlers[path]
  if (handler === undefined) return void response.writeHead(404).end('404 page not found')
  response.setHeader('Content-Type', 'application/json')
  response.setHeader('Trailer', 'X-Stream-Error')
  try {
    for await (const item of handler(call)) {
      await send(response, item instanceof Uint8Array ? item : `${JSON.stringify(item)}\n`)
      if (failure?.kind === 'cut') return void response.destroy()
      if (failure?.kind === 'end') break
      if (failure?.kind === 'trailer') throw new KuboError(failure.message)
    }
    response.end()
  } catch (error) {
    if (!(error instanceof KuboError)) throw error
    if (!response.headersSent) return sendError(response, error.message, 500)
    response.addTrailers({ 'X-Stream-Error': error.message })
    response.end()
  }
}

/** Resolves when the data has left, so that a connection broken afterwards has delivered it. */
async function send(response: ServerResponse, data: Uint8Array | string): Promise<void> {
  if (response.destroyed) return
  await new Promise<void>(resolve => void response.write(data, () => resolve()))
}

function sendError(response: ServerResponse, message: string, status: number): void {
  const headers = { 'Content-Type': 'application/json' }
  response.writeHead(status, headers).end(`${JSON.stringify({ Message: message, Code: 0, Type: 'error' })}\n`)
}

type Handler = (call: Call) => AsyncGenerator<unknown>

const handlers: Readonly<Record<string, Handler>> = {
  async *id({ kubo }) {
    const ID = kubo.options.peerId ?? '12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5'
    yield { ID, Addresses: [`/ip4/127.0.0.1/tcp/4001/p2p/${ID}`], AgentVersion: 'kubo/0.44.0/' }
  },
  async *version() {
    yield { Version: '0.44.0', Commit: '', Repo: '18', System: 'amd64/linux', Golang: 'go1.26' }
  },
  'pin/add': pinAdd,
  'pin/ls': pinLs,
  async *'pin/rm'({ kubo, query }) {
    const { key, cid } = argument(query)
    if (!kubo.pins.delete(key)) throw new KuboError('not pinned or pinned indirectly')
    yield { Pins: [cid.toString()] }
  },
  async *'pin/update'({ kubo, query }) {
    const [from, to] = query.getAll('arg').map(pinKey)
    if (from === undefined || to === undefined) throw new KuboError('argument "to-path" is required')
    if (kubo.pins.get(from) !== 'recursive')
      throw new KuboError("'from' cid was not recursively pinned already")
    kubo.pins.set(to, 'recursive')
    if (query.get('unpin') !== 'false') kubo.pins.delete(from)
    yield { Pins: query.getAll('arg') }
  },
  async *'repo/stat'({ kubo }) {
    let size = 0
    for (const data of kubo.blocks.values()) size += data.length
    const max = kubo.options.storageMax ?? 10_000_000_000n
    // Written by hand, since JSON.stringify knows no 64-bit integers.
    yield new TextEncoder().encode(`{"RepoSize":${size},"StorageMax":${max}}\n`)
  },
  async *'repo/gc'({ kubo }) {
    const kept = new Set([...kubo.pins.keys()].map(cid => hashKey(CID.parse(cid))))
    for (const key of kubo.blocks.keys()) {
      if (kept.has(key)) continue
      const cid = testBlock(kubo.blocks.get(key) ?? new Uint8Array(0)).cid
      kubo.blocks.delete(key)
      yield { Key: { '/': cid.toString() } }
    }
  },
  async *resolve({ kubo, query }) {
    const [, namespace, root = '', ...names] = (query.get('arg') ?? '').split('/')
    if (namespace !== 'ipfs') throw new KuboError('could not resolve name')
    let cid = CID.parse(root)
    for (const name of names) {
      const link = linksOf(kubo.blocks.get(hashKey(cid)) ?? new Uint8Array(0)).find(
        link => link.name === name,
      )
      if (link === undefined) throw new KuboError(`no link named "${name}" under ${cid}`)
      cid = link.cid
    }
    yield { Path: `/ipfs/${cid}` }
  },
  async *'swarm/peers'({ kubo }) {
    yield {
      Peers:
        kubo.swarm.length === 0 ? null : kubo.swarm.map(Peer => ({ Addr: '/ip4/127.0.0.1/tcp/4001', Peer })),
    }
  },
  async *'swarm/connect'({ kubo, query }) {
    const address = query.get('arg') ?? ''
    kubo.connects.push(address)
    const peer = /\/p2p\/([^/]+)$/.exec(address)?.[1]
    if (peer === undefined) throw new KuboError(`invalid peer address: ${address}`)
    if (address.includes('/tcp/1/')) throw new KuboError(`connect ${peer} failure: connection refused`)
    if (!kubo.swarm.includes(peer)) kubo.swarm.push(peer)
    yield { Strings: [`connect ${peer} success`] }
  },
  'block/put': blockPut,
  async *'block/get'({ kubo, query, signal }) {
    const { cid } = argument(query)
    yield await blockOf(kubo, cid, signal)
  },
  'dag/export': dagExport,
  'dag/import': dagImport,
  async *'config/show'({ kubo }) {
    yield { Datastore: { StorageMax: String(kubo.options.storageMax ?? '10GB') } }
  },
}

async function* dagExport({ kubo, query, signal }: Call): AsyncGenerator<unknown> {
  const root = argument(query).cid
  const blocks = dagBlocks(root, cid => blockOf(kubo, cid, signal))
  for await (const piece of writeCar(root, blocks)) yield piece
}

/** Pins no roots, and tells how much it has stored. */
async function* dagImport({ kubo, request }: Call): AsyncGenerator<unknown> {
  let count = 0
  let bytes = 0
  for await (const { data } of readParts(request)) {
    try {
      const car = await readCar(streamOf(data))
      for await (const { cid, data: block } of car.blocks) {
        if (hashKey(testBlock(block).cid) !== hashKey(cid)) throw new Error(`mismatch in content of ${cid}`)
        kubo.blocks.set(hashKey(cid), block)
        count++
        bytes += block.length
      }
    } catch (cause) {
      throw new KuboError(`import failed: ${cause instanceof Error ? cause.message : String(cause)}`)
    }
  }
  yield { Stats: { BlockCount: count, BlockBytesCount: bytes } }
}

async function* streamOf(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data
}

async function* pinAdd({ kubo, query, signal }: Call): AsyncGenerator<unknown> {
  const { key, cid } = argument(query)
  const kind = query.get('recursive') === 'false' ? 'direct' : 'recursive'
  if (kind === 'direct' && kubo.pins.get(key) === 'recursive') {
    throw new KuboError(`pin: ${cid} already pinned recursively`)
  }
  const { pinDelayMs = 0, progressIntervalMs = 20, needsBlocks = false } = kubo.options
  const end = performance.now() + pinDelayMs
  let fetched = 0
  const isThere = () => !needsBlocks || kubo.blocks.has(hashKey(cid))
  while (performance.now() < end || !isThere()) {
    await delay(progressIntervalMs, undefined, { signal })
    if (kubo.options.progressGrows === true) fetched++
    if (query.get('progress') === 'true') yield { Progress: fetched, Bytes: fetched * 1000 }
  }
  kubo.pins.set(key, kind)
  if (query.get('progress') === 'true') yield { Progress: fetched + 1, Bytes: (fetched + 1) * 1000 }
  yield { Pins: [cid.toString()] }
}

async function* pinLs({ kubo, query }: Call): AsyncGenerator<unknown> {
  const type = query.get('type') ?? 'all'
  const matches = (kind: string | undefined) => kind !== undefined && (type === 'all' || type === kind)
  const keys: Record<string, { readonly Type: string | undefined }> = {}
  for (const { key, cid } of query.getAll('arg').map(readArgument)) {
    const kind = kubo.pins.get(key)
    if (!matches(kind)) throw new KuboError(`path '${cid}' is not pinned`)
    if (query.get('stream') === 'true') yield { Cid: cid.toString(), Type: kind }
    else keys[cid.toString()] = { Type: kind }
  }
  if (query.has('arg')) {
    if (query.get('stream') !== 'true') yield { Keys: keys }
    return
  }
  for (const [key, kind] of kubo.pins) if (matches(kind)) yield { Cid: key, Type: kind }
}

async function* blockPut({ kubo, query, request }: Call): AsyncGenerator<unknown> {
  const codec = CODECS[query.get('cid-codec') ?? 'raw'] ?? Number(query.get('cid-codec'))
  if (Number.isNaN(codec)) throw new KuboError(`unknown multicodec: "${query.get('cid-codec')}"`)
  if (query.get('mhtype') !== 'sha2-256') throw new KuboError('the fake knows sha2-256 only')
  for await (const { data } of readParts(request)) {
    const block = testBlock(data, codec)
    kubo.blocks.set(hashKey(block.cid), data)
    yield { Key: block.cid.toString(), Size: data.length }
  }
}

async function blockOf(kubo: State, cid: CID, signal: AbortSignal): Promise<Uint8Array> {
  while (true) {
    const data = kubo.blocks.get(hashKey(cid))
    if (data !== undefined) return data
    await delay(20, undefined, { signal })
  }
}

function argument(query: URLSearchParams): { key: string; cid: CID } {
  return readArgument(query.get('arg') ?? '')
}

function readArgument(text: string): { key: string; cid: CID } {
  try {
    const cid = CID.parse(text.replace(/^\/ipfs\//, ''))
    return { key: pinKey(text), cid }
  } catch {
    throw new KuboError(`invalid path "${text}": invalid cid`)
  }
}

function pinKey(text: string): string {
  return CID.parse(text.replace(/^\/ipfs\//, ''))
    .toV1()
    .toString()
}

function hashKey(cid: CID): string {
  return cid.multihash.bytes.toHex()
}
