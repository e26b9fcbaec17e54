/** A node with its RPC on loopback, for tests of this room. */
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import type { TestContext } from 'node:test'
import { silentLogger, systemClock } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { RpcNode } from '../details.ts'
import { startNode } from '../test-node.ts'
import { createKuboRpc, type ReadUploads, type RpcConfig } from './index.ts'

export interface TestRpc {
  readonly node: RpcNode
  /** `http://127.0.0.1:port/api/v0` */
  readonly url: string
  /** Signals of requests under way. */
  readonly live: Set<AbortSignal>
  post(path: string, options?: AskOptions): Promise<TestAnswer>
}

export interface AskOptions {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Contents of uploaded files by their names. */
  readonly files?: Readonly<Record<string, Uint8Array | string>>
}

export interface TestAnswer {
  readonly status: number
  readonly headers: Readonly<NodeJS.Dict<string | string[]>>
  readonly trailers: Readonly<NodeJS.Dict<string>>
  readonly body: Buffer
  readonly text: string
  /** The lines of the body. */
  readonly lines: readonly unknown[]
  /** Of an error. */
  readonly message: string
}

/** Node's own parser: it holds the whole upload, which tests may. */
const uploads: ReadUploads = async function* (request) {
  const type = request.headers['content-type'] ?? ''
  const web = new Response(Readable.toWeb(request) as ReadableStream, { headers: { 'content-type': type } })
  for (const value of (await web.formData()).values()) {
    if (typeof value === 'string') continue
    const content = value.stream() as unknown as AsyncIterable<Uint8Array>
    yield { path: value.name, kind: 'file', content }
  }
}

export async function startRpc(t: TestContext, config: RpcConfig = {}): Promise<TestRpc> {
  const node = await startNode(t)
  const handle = createKuboRpc({ node, uploads, clock: systemClock, logger: silentLogger }, config)
  const live = new Set<AbortSignal>()
  const server = createServer((request, response) => {
    const left = new AbortController()
    live.add(left.signal)
    response.once('close', () => {
      live.delete(left.signal)
      left.abort(new DOMException('the client left', 'AbortError'))
    })
    handle(request, response, left.signal).catch(() => response.destroy())
  })
  const { promise, resolve } = Promise.withResolvers<void>()
  server.listen(0, '127.0.0.1', resolve)
  await promise
  t.after(async () => {
    const closed = new Promise(done => server.close(done))
    server.closeAllConnections()
    await closed
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v0`
  return { node, url, live, post: (path, options) => ask(`${url}${path}`, options) }
}

async function ask(
  url: string,
  { method = 'POST', headers = {}, files }: AskOptions = {},
): Promise<TestAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  let body: Buffer | undefined
  let type: string | undefined
  if (files !== undefined) {
    const form = new FormData()
    for (const [name, content] of Object.entries(files)) {
      form.append('file', new Blob([typeof content === 'string' ? content : Uint8Array.from(content)]), name)
    }
    const encoded = new Response(form)
    type = encoded.headers.get('content-type') ?? ''
    body = Buffer.from(await encoded.arrayBuffer())
  }
  const sent = { ...headers, ...(type === undefined ? {} : { 'content-type': type }) }
  httpRequest(url, { method, headers: sent, agent: false }, resolve).on('error', reject).end(body)
  const answer = await promise
  const bytes = Buffer.concat(await Array.fromAsync(answer as AsyncIterable<Buffer>))
  const text = bytes.toString()
  const lines = () =>
    text
      .split('\n')
      .filter(line => line !== '')
      .map(line => JSON.parse(line) as unknown)
  return {
    status: answer.statusCode ?? 0,
    headers: answer.headers,
    trailers: answer.trailers,
    body: bytes,
    text,
    get lines() {
      return lines()
    },
    get message() {
      return (lines()[0] as { Message: string }).Message
    },
  }
}

export const link = (cid: CID): { '/': string } => ({ '/': cid.toString() })
