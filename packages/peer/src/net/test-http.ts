/** For tests of HTTP over libp2p: a server that answers in all ways there are, and clients. */
import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createNodeTransport } from '@ipfs-cluster/api/node'
import {
  createMeter,
  silentLogger,
  systemClock,
  type Clock,
  type Logger,
  type MeterRegistry,
} from '@ipfs-cluster/base'
import { createHttpServer, type HttpServerConfig } from '../http/common/index.ts'
import { createIdentity } from '../identity/index.ts'
import { createHttpDialer, type HttpDialerConfig } from './http-dialer.ts'
import { createHttpHost } from './http-host.ts'

export interface TestEndpoint extends AsyncDisposable {
  readonly address: string
  readonly meter: MeterRegistry
  readonly clock: Clock
  /** Reasons for which requests ended before they were answered. */
  readonly gone: unknown[]
  refused(reason: string): number
}

export async function serveHttp({
  listen = ['/ip4/127.0.0.1/tcp/0'],
  clock = systemClock,
  logger = silentLogger,
  ...config
}: Partial<HttpServerConfig> & {
  readonly clock?: Clock
  readonly logger?: Logger
} = {}): Promise<TestEndpoint> {
  const meter = createMeter()
  await using stack = new AsyncDisposableStack()
  const host = stack.use(
    await createHttpHost(
      { clock, logger, meter },
      { identity: await createIdentity(), listen, configKey: 'restapi.libp2p_listen_multiaddress' },
    ),
  )
  const gone: unknown[] = []
  const handle = async (request: IncomingMessage, response: ServerResponse, signal: AbortSignal) => {
    signal.addEventListener('abort', () => gone.push(signal.reason))
    await answer(request, response, signal)
  }
  stack.use(
    await createHttpServer(
      { handle, clock, logger, connections: host },
      {
        listen: [],
        readTimeoutMs: 0,
        readHeaderTimeoutMs: 5_000,
        writeTimeoutMs: 0,
        idleTimeoutMs: 120_000,
        maxHeaderBytes: 4096,
        configKey: 'restapi.http_listen_multiaddress',
        ...config,
      },
    ),
  )
  const owned = stack.move()
  return {
    address: host.addresses[0] ?? '',
    meter,
    clock,
    gone,
    refused: reason =>
      meter
        .collect()
        .filter(({ name }) => name === 'ipfscluster_refused_total')
        .flatMap(({ samples }) => samples)
        .filter(({ labels }) => labels['protocol'] === 'libp2p-http' && labels['reason'] === reason)
        .reduce((sum, { value }) => sum + value, 0),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const path = request.url ?? ''
  if (path === '/id') {
    response.end(JSON.stringify({ from: request.socket.remoteAddress, host: request.headers.host }))
  } else if (path === '/health') {
    response.writeHead(204).end()
  } else if (path === '/denied') {
    response.writeHead(401, { 'WWW-Authenticate': 'Basic' }).end('{"code":401,"message":"no"}')
  } else if (path === '/stream') {
    response.writeHead(200, { Trailer: 'X-Stream-Error' })
    response.write('{"n":1}\n')
    response.write('{"n":2}\n')
    response.addTrailers([
      ['X-Stream-Error', ''],
      ['X-Stream-Error', 'half of it'],
    ])
    response.end()
  } else if (path === '/digest') {
    const hash = createHash('sha256')
    let bytes = 0
    for await (const chunk of request as AsyncIterable<Uint8Array>) {
      hash.update(chunk)
      bytes += chunk.length
    }
    response.end(JSON.stringify({ bytes, sha256: hash.digest('hex') }))
  } else if (path === '/echo') {
    for await (const chunk of request as AsyncIterable<Uint8Array>) {
      if (!response.write(chunk)) await new Promise(resolve => response.once('drain', resolve))
    }
    response.end()
  } else if (path === '/cut') {
    response.writeHead(200).write('{"n":1}\n')
    await new Promise(resolve => setImmediate(resolve))
    throw new Error('cut')
  } else if (path === '/silent') {
    await new Promise(resolve => signal.addEventListener('abort', resolve))
    response.destroy()
  } else {
    response.writeHead(404).end()
  }
}

/** A client of endpoints over libp2p. */
export async function createTestClient(config: HttpDialerConfig = {}) {
  const dialer = await createHttpDialer(config)
  const transport = createNodeTransport({ connect: (address, options) => dialer.connect(address, options) })
  return {
    dialer,
    transport,
    async get(host: string, path: string, options: { signal?: AbortSignal } = {}) {
      return await transport.send({ host, path, method: 'GET', headers: {} }, options)
    },
    async [Symbol.asyncDispose]() {
      transport[Symbol.dispose]()
      await dialer[Symbol.asyncDispose]()
    },
  }
}

export async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}
