/** A REST API on loopback over a fake cluster, and requests byte by byte, for tests. */
import { connect } from 'node:net'
import { silentLogger, systemClock, type Logger } from '@ipfs-cluster/base'
import type { Cluster } from '../../cluster/index.ts'
import { createRestApi, type HttpApi, type HttpApiConfig } from './index.ts'

export const TEST_CONFIG: HttpApiConfig = {
  listen: ['/ip4/127.0.0.1/tcp/0'],
  readTimeoutMs: 0,
  readHeaderTimeoutMs: 5_000,
  writeTimeoutMs: 0,
  idleTimeoutMs: 120_000,
  maxHeaderBytes: 4096,
  headers: { 'X-Own': ['a', 'b'] },
}

export const basic = (user: string, password: string) =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`

export async function startTestApi(
  cluster: Partial<Cluster>,
  config: Partial<HttpApiConfig> = {},
  logger: Logger = silentLogger,
): Promise<HttpApi> {
  const components = { cluster: cluster as Cluster, clock: systemClock, logger }
  return await createRestApi(components, { ...TEST_CONFIG, ...config })
}

/** Keeps `[level, facility, ...what was logged]` of each line. */
export function recordingLogger(): { readonly logger: Logger; readonly lines: readonly string[] } {
  const lines: string[] = []
  const child = (facility: string): Logger => {
    const method =
      (level: string) =>
      (...line: unknown[]) =>
        void lines.push(
          [
            level,
            facility,
            ...line.map(each => (typeof each === 'string' ? each : JSON.stringify(each))),
          ].join(' '),
        )
    const levels = {
      error: method('error'),
      warn: method('warn'),
      info: method('info'),
      debug: method('debug'),
    }
    return { ...levels, child }
  }
  return { logger: child('restapi'), lines }
}

export interface RawAnswer {
  /** 0: the connection ended without an answer. */
  readonly status: number
  /** Of the first answer, lower case; lines of one name are joined by a line break. */
  readonly headers: Readonly<Record<string, string>>
  /** All that follows the first head. */
  readonly body: string
  readonly text: string
}

/**
 * Writes `parts` to a connection of its own, waits for the server to end it, and reads what came. Latin-1 all the way.
 *
 * @throws when the server has not ended it within `timeoutMs`.
 */
export async function rawRequest(
  target: string | { readonly path: string },
  parts: string,
  timeoutMs = 8_000,
): Promise<RawAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const socket =
    typeof target === 'string' ? connect(Number(new URL(target).port), '127.0.0.1') : connect(target.path)
  let text = ''
  socket.setEncoding('latin1')
  socket.on('data', (data: string) => (text += data))
  // A server that cuts the connection may do so while bytes are on their way.
  socket.on('error', () => undefined)
  socket.on('close', () => resolve())
  socket.write(Buffer.from(parts, 'latin1'))
  const ended = new AbortController()
  const tooLate = () => {
    socket.destroy()
    reject(new Error(`the server left the connection open after: ${JSON.stringify(text.slice(0, 300))}`))
  }
  systemClock.sleep(timeoutMs, { signal: ended.signal }).then(tooLate, () => undefined)
  try {
    await promise
  } finally {
    ended.abort()
  }
  return parseAnswer(text)
}

export function parseAnswer(text: string): RawAnswer {
  const end = text.indexOf('\r\n\r\n')
  const [statusLine = '', ...lines] = (end < 0 ? text : text.slice(0, end)).split('\r\n')
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const name = line.slice(0, line.indexOf(':')).toLowerCase()
    const value = line.slice(line.indexOf(':') + 1).trim()
    headers[name] = headers[name] === undefined ? value : `${headers[name]}\n${value}`
  }
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(statusLine)?.[1] ?? 0)
  return { status, headers, body: end < 0 ? '' : text.slice(end + 4), text }
}

/** A request whose connection ends with its answer. */
export function head(method: string, path: string, headers: Readonly<Record<string, string>> = {}): string {
  const lines = Object.entries({ Host: 'x', Connection: 'close', ...headers }).map(
    ([name, value]) => `${name}: ${value}`,
  )
  return `${[`${method} ${path} HTTP/1.1`, ...lines].join('\r\n')}\r\n\r\n`
}
