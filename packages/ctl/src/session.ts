/** What a command runs with: the client that the global flags ask for, and how to print. */
import { indentJson, type ApiError } from '@ipfs-cluster/api'
import { createClient, type ClusterClient } from '@ipfs-cluster/api/client'
import { fromHex, silentLogger, type AbortOptions, type Clock, type Logger } from '@ipfs-cluster/base'
import { boolean, integer, text, type Parsed } from '@ipfs-cluster/base/cli'
import { LocalFailure, trying } from './failure.ts'
import { errorShape, type Shape } from './format.ts'
import { createHostTransport } from './host-transport.ts'
import { hostsOf } from './hosts.ts'
import type { Io } from './io.ts'

const DEFAULT_HOST = '/ip4/127.0.0.1/tcp/9094'
const ENCODINGS = ['text', 'json'] as const

export const globalFlags = {
  host: text('host, l', 'Multiaddresses of API endpoints, comma-separated', DEFAULT_HOST),
  secret: text('secret', 'Cluster secret (64 hexadecimal digits) for libp2p endpoints'),
  https: boolean('https, s', 'Talk https to the API'),
  noCheckCertificate: boolean('no-check-certificate', 'Accept any TLS certificate (with --https)'),
  encoding: text('encoding, enc', 'Print as text or json', 'text', { choices: ENCODINGS }),
  timeout: integer('timeout, t', 'Give up on a request after so many seconds'),
  debug: boolean('debug, d', 'Log requests and answers to stderr'),
  basicAuth: text('basic-auth', '<user>[:<password>]; implies --https without --force-http', '', {
    env: 'CLUSTER_CREDENTIALS',
  }),
  forceHttp: boolean('force-http, f', 'Send credentials over plain http'),
}

export interface Session {
  readonly io: Io
  /** Its calls end when the program is cancelled. */
  readonly client: ClusterClient
  readonly encoding: (typeof ENCODINGS)[number]
  print<T>(shape: Shape<T>, value: T): Promise<void>
  /** One document after another. */
  printAll<T>(shape: Shape<T>, values: AsyncIterable<T>): Promise<void>
}

/** @throws LocalFailure when a global flag has a value that cannot be used. */
export async function createSession({ values }: Parsed<typeof globalFlags>, io: Io): Promise<Session> {
  const secret = values.secret === '' ? undefined : trying('parsing secret', () => fromHex(values.secret))
  const credentials = credentialsOf(values.basicAuth)
  const https = values.https || (credentials !== undefined && !values.forceHttp)
  const encoding = ENCODINGS.find(each => each === values.encoding)
  if (encoding === undefined) throw new LocalFailure('', 'unsupported encoding')
  const logger = createLogger(io, values.debug)
  if (https && !values.https) {
    logger.warn('credentials are only sent over https, which is now on; --force-http sends them over http')
  }
  const client = createClient(
    {
      hosts: await hostsOf(values.host, { https, secret }, io),
      ...(credentials !== undefined && { credentials }),
    },
    {
      transport: createHostTransport(
        io.transport(values.noCheckCertificate, secret),
        values.timeout,
        io.clock,
      ),
      clock: io.clock,
      logger: values.debug ? logger : silentLogger,
    },
  )
  const print = async <T>(shape: Shape<T>, value: T) => await io.stdout(render(shape, value, encoding, io))
  return {
    io,
    client: cancellable(client, io.signal),
    encoding,
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

type AnyMethod = (args?: object, options?: AbortOptions) => unknown

/** The client, whose calls take `signal` unless they are given another. */
function cancellable(client: ClusterClient, signal: AbortSignal): ClusterClient {
  const methods = Object.entries(client as unknown as Readonly<Record<string, AnyMethod>>).map(
    ([name, method]) =>
      [name, (args?: object, options: AbortOptions = { signal }) => method(args, options)] as const,
  )
  // Each method has the type it had.
  return Object.fromEntries(methods) as unknown as ClusterClient
}

/** Lines as Go's logger writes them where stderr is no terminal: time, level, name and text, apart by tabs. */
function createLogger({ stderr, clock }: { stderr: Io['stderr']; clock: Clock }, debug: boolean): Logger {
  const log =
    (level: string) =>
    (first: Readonly<Record<string, unknown>> | string, message = '') => {
      const time = new Date(clock.now()).toISOString()
      const words = typeof first === 'string' ? first : `${message} ${JSON.stringify(first)}`
      void stderr(`${time}\t${level}\tcluster-ctl\t${words}\n`)
    }
  const logger: Logger = {
    error: log('ERROR'),
    warn: log('WARN'),
    info: debug ? log('INFO') : () => undefined,
    debug: debug ? log('DEBUG') : () => undefined,
    child: () => logger,
  }
  return logger
}
