/** A proxy on loopback between a client and a daemon that a test plays, for tests. */
import { createServer, request as httpRequest, type IncomingMessage, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Cluster } from '../../cluster/index.ts'
import { silentLogger, systemClock, type Clock, type Logger } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { createHttpUpstream, createIpfsProxy, type IpfsProxyConfig } from './index.ts'

export const TEST_CONFIG: IpfsProxyConfig = {
  listen: ['/ip4/127.0.0.1/tcp/0'],
  readTimeoutMs: 0,
  readHeaderTimeoutMs: 5_000,
  writeTimeoutMs: 0,
  idleTimeoutMs: 60_000,
  maxHeaderBytes: 4096,
  extractHeadersExtra: [],
  extractHeadersPath: '/api/v0/version',
  extractHeadersTtlMs: 300_000,
}

export interface TestDaemon extends AsyncDisposable {
  readonly api: string
  /** Method and target of each request. */
  readonly requests: string[]
  /** Open connections. */
  readonly connections: () => number
}

/** @param answer what the daemon does with all but preflights and `version`, which it answers as Kubo does. */
export async function startDaemon(answer: RequestListener, socketPath?: string): Promise<TestDaemon> {
  const requests: string[] = []
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`)
    if (request.method === 'OPTIONS') {
      const isKnown = request.headers.origin === 'http://good'
      response.setHeader('Vary', 'Origin')
      if (isKnown) response.setHeader('Access-Control-Allow-Origin', 'http://good')
      response.writeHead(204).end()
    } else if (request.url === '/api/v0/version') {
      response.setHeader('Access-Control-Expose-Headers', 'X-Stream-Output')
      response.setHeader('X-Extra', ['a', 'b'])
      response.end('{"Version":"0.44.0"}')
    } else answer(request, response)
  })
  let connections = 0
  server.on('connection', socket => {
    connections++
    socket.once('close', () => connections--)
  })
  const { promise, resolve } = Promise.withResolvers<void>()
  if (socketPath === undefined) server.listen(0, '127.0.0.1', resolve)
  else server.listen(socketPath, resolve)
  await promise
  const api =
    socketPath === undefined
      ? `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`
      : `/unix${socketPath}`
  return {
    api,
    requests,
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      const closed = new Promise(done => server.close(done))
      server.closeAllConnections()
      await closed
    },
  }
}

export interface TestProxy extends AsyncDisposable {
  readonly url: string
}

export interface TestProxyParts {
  readonly cluster: Partial<Cluster>
  /** Multiaddr of the daemon. */
  readonly api: string
  /** @default false */
  readonly https?: boolean
  readonly config?: Partial<IpfsProxyConfig>
  readonly resolve?: (path: string) => Promise<CID>
  readonly clock?: Clock
  readonly logger?: Logger
}

export async function startProxy({
  cluster,
  api,
  https = false,
  config,
  resolve,
  ...parts
}: TestProxyParts): Promise<TestProxy> {
  const { clock = systemClock, logger = silentLogger } = parts
  await using stack = new AsyncDisposableStack()
  const upstream = stack.use(
    createHttpUpstream({ clock, logger }, { nodeMultiaddress: api, nodeHttps: https }),
  )
  const ipfs = { resolve: resolve ?? (() => Promise.reject(new Error('nothing is resolved'))) }
  const components = { cluster: cluster as Cluster, ipfs, upstream, clock, logger }
  const server = stack.use(await createIpfsProxy(components, { ...TEST_CONFIG, ...config }))
  const owned = stack.move()
  return { url: server.urls[0] as string, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** A request whose answer is read by whoever asks for it. */
export function open(
  url: string,
  options: {
    readonly method?: string
    readonly headers?: Readonly<Record<string, string>>
    readonly body?: AsyncIterable<Uint8Array> | Uint8Array
    readonly signal?: AbortSignal
  } = {},
): Promise<IncomingMessage> {
  const { method = 'POST', headers = {}, body, signal } = options
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const request = httpRequest(url, { method, headers, agent: false, ...(signal && { signal }) }, resolve)
  request.on('error', reject)
  const send = async () => {
    if (body instanceof Uint8Array) request.write(body)
    else if (body !== undefined) {
      for await (const chunk of body) {
        if (!request.write(chunk)) await new Promise(done => request.once('drain', done))
      }
    }
    request.end()
  }
  send().catch(reject)
  return promise
}

export async function textOf(stream: AsyncIterable<Uint8Array>): Promise<string> {
  return Buffer.concat(await Array.fromAsync(stream)).toString()
}

/** A multipart upload of these files. */
export function upload(files: Readonly<Record<string, string>>): {
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
} {
  const parts = Object.entries(files).map(
    ([name, content]) =>
      `--BB\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\n` +
      `Content-Type: application/octet-stream\r\n\r\n${content}\r\n`,
  )
  return {
    headers: { 'Content-Type': 'multipart/form-data; boundary=BB' },
    body: new TextEncoder().encode(`${parts.join('')}--BB--\r\n`),
  }
}

/** As Kubo sends it. */
export const error = (message: string) => JSON.stringify({ Message: message, Code: 0, Type: 'error' })

export interface Answer {
  readonly status: number
  readonly body: string
  readonly trailers: Readonly<NodeJS.Dict<string>>
  readonly headers: Readonly<NodeJS.Dict<string | string[]>>
}

/** A request below `/api/v0`, and its whole answer. */
export async function ask(
  proxy: TestProxy,
  path: string,
  options: Parameters<typeof open>[1] = {},
): Promise<Answer> {
  const answer = await open(`${proxy.url}/api/v0${path}`, options)
  const body = await textOf(answer)
  return { status: answer.statusCode ?? 0, body, trailers: answer.trailers, headers: answer.headers }
}
