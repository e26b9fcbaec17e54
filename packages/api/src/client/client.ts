import {
  silentLogger,
  systemClock,
  systemRandom,
  toHex,
  utf8,
  type AbortOptions,
  type Clock,
  type Logger,
  type Random,
} from '@ipfs-cluster/base'
import { addedOutputCodec, addedOutputsCodec, type BulkAnswer, type JsonCodec } from '../json/index.ts'
import type { Route, RouteArgs, RouteCall, RouteKind, RouteName } from '../route.ts'
import { ROUTES } from '../routes.ts'
import type { AddedOutput, GlobalPinInfo } from '../types.ts'
import { pinMany, unpinMany, type BulkContext, type PinManyArgs, type UnpinManyArgs } from './bulk.ts'
import { createFetchTransport } from './fetch-transport.ts'
import { multipartBody } from './multipart.ts'
import { createSender, type Sender, type SenderCall, type Strategy } from './sender.ts'
import type { HttpTransport } from './transport.ts'
import { createUpload, type AddArgs } from './upload.ts'
import { waitForStatus, type WaitForArgs } from './wait-for.ts'

/** Random bytes in a multipart boundary. */
const BOUNDARY_BYTES = 30

export interface ClientConfig {
  /** URLs such as `http://127.0.0.1:9094`; another is asked when one gives no HTTP answer. */
  readonly hosts: readonly string[]
  /** `failover`: the first host first; `round-robin`: they take turns. `failover` if not given. */
  readonly strategy?: Strategy
  /** How often a request is sent, all hosts together, until one answers; as many times as there are hosts if not given. */
  readonly tries?: number
  /** HTTP Basic authentication. */
  readonly credentials?: { readonly user: string; readonly password: string }
  /** A JSON Web Token, such as `token()` gives, instead of `credentials`. */
  readonly token?: string
  /** For the whole of each try of a request, body and stream included; without it only the caller's signal ends one. */
  readonly timeoutMs?: number
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>
}

export interface ClientComponents {
  /** fetch by default; in Node take the one of `@ipfs-cluster/api/node`. */
  readonly transport?: HttpTransport
  readonly clock?: Clock
  readonly random?: Random
  /** Gets each request and each answer's text at level debug. */
  readonly logger?: Logger
}

/** A JSON document, a stream of them, bytes, or nothing. */
export type ClientResult<Name extends RouteName> =
  (typeof ROUTES)[Name] extends Route<infer Kind, infer _Args, infer _Input, infer Output>
    ? Kind extends 'json'
      ? Promise<Output>
      : Kind extends 'stream'
        ? AsyncGenerator<Output>
        : Kind extends 'add'
          ? AsyncGenerator<AddedOutput>
          : Kind extends 'bulk'
            ? AsyncGenerator<BulkAnswer>
            : Kind extends 'car'
              ? AsyncGenerator<Uint8Array>
              : Promise<void>
    : never

interface SpecialArgs {
  readonly add: AddArgs
  readonly pinMany: PinManyArgs
  readonly unpinMany: UnpinManyArgs
}

type ClientArgs<Name extends RouteName> = Name extends keyof SpecialArgs ? SpecialArgs[Name] : RouteArgs<Name>

type ClientMethod<Name extends RouteName> =
  Readonly<Record<never, never>> extends ClientArgs<Name>
    ? (args?: ClientArgs<Name>, options?: AbortOptions) => ClientResult<Name>
    : (args: ClientArgs<Name>, options?: AbortOptions) => ClientResult<Name>

/**
 * One method a route. `pinMany` and `unpinMany` send again what has no answer when a connection breaks, to the next host if need be, and
 * ask peers without these routes, such as Go's, one by one. Streams start with the first `next()`; leaving one early gives up its connection.
 *
 * @throws ApiError from every method and stream: `API_ERROR` when the peer answers with an error, also in the middle of a stream;
 * `API_UNREACHABLE` when no host answered or the answer broke off; `API_BAD_JSON`; `BAD_PARAMETER` before anything is sent. An abort
 * throws the signal's reason; an upload whose parts fail throws their error.
 */
export type ClusterClient = { readonly [Name in RouteName]: ClientMethod<Name> } & {
  /** Asks for the status every second. @throws also ApiError `API_WAIT_FAILED` as soon as a peer reports an error for the pin. */
  waitFor(args: WaitForArgs, options?: AbortOptions): Promise<GlobalPinInfo>
}

export function createClient(config: ClientConfig, components: ClientComponents = {}): ClusterClient {
  const { clock = systemClock, random = systemRandom, logger = silentLogger } = components
  const transport = components.transport ?? createFetchTransport()
  const { hosts, strategy = 'failover', tries = hosts.length, timeoutMs } = config
  const headers = { ...authorization(config), ...config.headers }
  const sender = createSender({ hosts, strategy, tries, timeoutMs, headers }, transport, clock, logger)
  const context = { sender, random, readsTrailers: transport.readsTrailers }
  const bulk: BulkContext = { sender, clock, streams: transport.readsTrailers, singles: () => client }
  const names = Object.keys(ROUTES) as RouteName[]
  const methods = Object.fromEntries(names.map(name => [name, method(ROUTES[name], context)]))
  const client = {
    ...methods,
    pinMany: (args: PinManyArgs, options?: AbortOptions) => pinMany(bulk, args, options),
    unpinMany: (args: UnpinManyArgs, options?: AbortOptions) => unpinMany(bulk, args, options),
    waitFor: (args: WaitForArgs, options: AbortOptions = {}) =>
      waitForStatus(args, client.status, clock, options),
    // The table gives each method its type; its entries cannot be followed by the compiler through `fromEntries`.
  } as ClusterClient
  return client
}

interface Context {
  readonly sender: Sender
  readonly random: Random
  readonly readsTrailers: boolean
}

/** Any route, with the arguments that only its own types know. */
interface AnyRoute {
  readonly method: string
  readonly kind: RouteKind
  readonly output: JsonCodec<unknown> | null
  readonly encode: (args: never) => RouteCall
}

function method({ method, kind, output, encode }: AnyRoute, context: Context): unknown {
  const call = (args: object) => callOf(method, encode(args as never))
  switch (kind) {
    case 'bulk':
      // In `bulk.ts`.
      return undefined
    case 'add':
      return (args: AddArgs, options: AbortOptions = {}) => add(context, args, options)
    case 'stream':
      return async function* (args: object = {}, options: AbortOptions = {}) {
        const answer = await context.sender.send(call(args), options)
        yield* answer.stream(output as JsonCodec<unknown>)
      }
    case 'car':
      return async function* (args: object = {}, options: AbortOptions = {}) {
        // Who cannot read trailers gets a broken connection for an error in the middle.
        const headers = context.readsTrailers ? { TE: 'trailers' } : {}
        const answer = await context.sender.send({ ...call(args), headers }, options)
        yield* answer.bytes()
      }
    case 'json':
      return async (args: object = {}, options: AbortOptions = {}) => {
        const answer = await context.sender.send(call(args), options)
        return await answer.json(output as JsonCodec<unknown>)
      }
    case 'empty':
      return async (args: object = {}, options: AbortOptions = {}) => {
        const answer = await context.sender.send(call(args), options)
        await answer.nothing()
      }
  }
}

function callOf(method: string, { path, query, body }: RouteCall): SenderCall {
  return {
    method,
    path: query === undefined ? path : `${path}?${query}`,
    headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
    ...(body !== undefined && { body }),
  }
}

/**
 * Streams the answer where the transport can tell its end from its failure; else takes it as one list, for which the server waits
 * until it knows.
 */
async function* add(
  { sender, random, readsTrailers }: Context,
  args: AddArgs,
  options: AbortOptions,
): AsyncGenerator<AddedOutput> {
  const upload = createUpload(args)
  const boundary = toHex(random.bytes(BOUNDARY_BYTES))
  const call = callOf(
    'POST',
    ROUTES.add.encode({ params: { ...args.params, streamChannels: readsTrailers } }),
  )
  try {
    const answer = await sender.send(
      {
        ...call,
        headers: { 'Content-Type': `multipart/form-data; boundary=${boundary}` },
        body: multipartBody(upload.parts, boundary),
        canRepeat: () => !upload.touched,
      },
      options,
    )
    if (readsTrailers) yield* answer.stream(addedOutputCodec)
    else yield* await answer.json(addedOutputsCodec)
  } catch (error) {
    // What goes wrong while reading the parts reaches us as a failed request.
    throw upload.failure ?? error
  }
}

function authorization({ token, credentials }: ClientConfig): Record<string, string> {
  if (token !== undefined) return { Authorization: `Bearer ${token}` }
  if (credentials === undefined) return {}
  const bytes = utf8(`${credentials.user}:${credentials.password}`)
  return { Authorization: `Basic ${btoa(String.fromCharCode(...bytes))}` }
}
