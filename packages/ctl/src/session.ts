/** What a command runs with: the client that the global flags ask for, and how to print. */
import { indentJson, parseMultiaddr, type ApiError } from '@ipfs-cluster/api'
import { createClient, type ClusterClient } from '@ipfs-cluster/api/client'
import { silentLogger, type Logger } from '@ipfs-cluster/base'
import { boolean, integer, text, type Parsed } from '@ipfs-cluster/base/cli'
import { multiaddr } from '@multiformats/multiaddr'
import { LocalFailure, trying } from './failure.ts'
import { errorShape, type Shape } from './format.ts'
import type { Io } from './io.ts'

const DEFAULT_HOST = '/ip4/127.0.0.1/tcp/9094'
const NOT_YET = 'not supported yet by this ctl: use an http address'

export const globalFlags = {
  host: text('host, l', 'Multiaddresses of API endpoints, comma-separated', DEFAULT_HOST),
  secret: text('secret', 'Cluster secret (64 hexadecimal digits) for libp2p endpoints'),
  https: boolean('https, s', 'Talk https to the API'),
  noCheckCertificate: boolean('no-check-certificate', 'Accept any TLS certificate (with --https)'),
  encoding: text('encoding, enc', 'Print as text or json', 'text'),
  timeout: integer('timeout, t', 'Give up on a request after so many seconds'),
  debug: boolean('debug, d', 'Log requests and answers to stderr'),
  basicAuth: text('basic-auth', '<user>[:<password>]; implies --https without --force-http', '', {
    env: 'CLUSTER_CREDENTIALS',
  }),
  forceHttp: boolean('force-http, f', 'Send credentials over plain http'),
}

export interface Session {
  readonly io: Io
  readonly client: ClusterClient
  print<T>(shape: Shape<T>, value: T): Promise<void>
  /** One document after another. */
  printAll<T>(shape: Shape<T>, values: AsyncIterable<T>): Promise<void>
}

/** @throws LocalFailure when a global flag has a value that cannot be used. */
export function createSession({ values }: Parsed<typeof globalFlags>, io: Io): Session {
  if (values.secret !== '') throw new LocalFailure('creating API client', `--secret is ${NOT_YET}`)
  const credentials = credentialsOf(values.basicAuth)
  const https = values.https || (credentials !== undefined && !values.forceHttp)
  const encoding = values.encoding
  if (encoding !== 'text' && encoding !== 'json') throw new LocalFailure('', 'unsupported encoding')
  const client = createClient(
    {
      hosts: values.host.split(',').map(address => urlOf(address, https)),
      ...(credentials !== undefined && { credentials }),
      ...(values.timeout > 0 && { timeoutMs: values.timeout * 1000 }),
    },
    {
      transport: io.transport(values.noCheckCertificate),
      clock: io.clock,
      logger: values.debug ? debugLogger(io) : silentLogger,
    },
  )
  const print = async <T>(shape: Shape<T>, value: T) => await io.stdout(render(shape, value, encoding, io))
  return {
    io,
    client,
    print,
    async printAll(shape, items) {
      for await (const item of items) await print(shape, item)
    },
  }
}

/** Prints an error of the API; the exit code tells whether there was an answer (2) or not (1). */
export async function printApiError(error: ApiError, encoding: string, io: Io): Promise<number> {
  const code = error.data.code === 'API_ERROR' ? error.data.status : 0
  await io.stdout(render(errorShape, { code, message: error.message }, encoding, io))
  return code === 0 ? 1 : 2
}

function render<T>(shape: Shape<T>, value: T, encoding: string, io: Io): string {
  return encoding === 'json'
    ? `${indentJson(shape.json.stringify(value))}\n`
    : shape.text(value, io.clock.nowNs())
}

function credentialsOf(given: string): { user: string; password: string } | undefined {
  if (given === '') return undefined
  const colon = given.indexOf(':')
  const user = colon < 0 ? given : given.slice(0, colon)
  return user === '' ? undefined : { user, password: colon < 0 ? '' : given.slice(colon + 1) }
}

function urlOf(address: string, https: boolean): string {
  const text = trying('parsing host multiaddress', () => parseMultiaddr(address))
  if (text.startsWith('/unix/')) return `unix:${text.slice('/unix'.length)}`
  const components = multiaddr(text).getComponents()
  const value = (name: string) => components.find(component => component.name === name)?.value
  if (value('p2p') !== undefined || value('dnsaddr') !== undefined) {
    throw new LocalFailure('creating API client', `${address}: a libp2p host is ${NOT_YET}`)
  }
  const names = ['ip4', 'dns4', 'dns6', 'dns', 'ip6'].map(value)
  const host = names.find(name => name !== undefined)
  const port = value('tcp')
  if (host === undefined || port === undefined) {
    throw new LocalFailure(
      'creating configs',
      `${address}: an address of an IP or DNS name and a TCP port is needed`,
    )
  }
  return `${https ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`
}

function debugLogger(io: Io): Logger {
  const log = (first: Readonly<Record<string, unknown>> | string, message?: string) => {
    void io.stderr(
      `DEBUG cluster-ctl: ${typeof first === 'string' ? first : `${message ?? ''} ${JSON.stringify(first)}`}\n`,
    )
  }
  const logger: Logger = { error: log, warn: log, info: log, debug: log, child: () => logger }
  return logger
}
