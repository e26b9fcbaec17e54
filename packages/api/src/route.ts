/** The types around the route table: what a route is, and what a server's handlers must be. */
import type { AbortOptions } from '@ipfs-cluster/base'
import type { JsonCodec } from './json/index.ts'
import type { ROUTES } from './routes.ts'
import type { AddedOutput } from './types.ts'

/**
 * How a route answers: `json` one document (200); `stream` one document a line (200, or 204 when there is none; an error after the
 * first goes to the trailer `X-Stream-Error`); `empty` nothing (204); `add` as `POST /add`: a multipart upload, answered by a stream
 * or, with `stream-channels=false`, one list; `bulk` takes one document a line and answers each with a line, in order, while it reads;
 * `car` with a CAR archive (200), which breaks off when it fails in the middle, or tells the error in the trailer to whoever says
 * `TE: trailers`. HEAD gets its head.
 */
export type RouteKind = 'json' | 'stream' | 'empty' | 'add' | 'bulk' | 'car'

/** A request as the server's router sees it. */
export interface RouteRequest {
  /** From the path, decoded. */
  readonly params: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  /** Text of a body that is neither multipart nor lines. */
  readonly body?: string
  /** Unix nanoseconds. */
  readonly nowNs: bigint
  /** Who is authenticated, when credentials are configured. */
  readonly user?: string
}

/** A request as the client sends it. */
export interface RouteCall {
  /** With its segments escaped. */
  readonly path: string
  readonly query?: URLSearchParams
  /** JSON. */
  readonly body?: string
}

/**
 * `Args` is what the client's caller gives (options may be left out), `Input` what the server's handler gets.
 */
export interface Route<Kind extends RouteKind, Args, Input, Output> {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** `{name}` matches one segment, `{name:a|b}` one of those, `{name:.*}` the rest. */
  readonly path: string
  readonly kind: Kind
  readonly output: Kind extends 'empty' | 'car' ? null : JsonCodec<Output>
  /** @throws ApiError `BAD_PARAMETER` */
  readonly encode: (args: Args) => RouteCall
  /** @throws ApiError `BAD_PARAMETER`, for a server to answer with status 400 and the error's message. */
  readonly decode: (request: RouteRequest) => Input
}

export type RouteName = keyof typeof ROUTES

/** A line of a `bulk` body, without its line break; or that it was too long to be kept. */
export type BulkLine = string | null

/** One entry of an upload: directories before their children. */
export interface AddPart {
  /** Slash-separated, relative, not escaped. */
  readonly path: string
  readonly kind: 'file' | 'directory' | 'symlink'
  /** A file's bytes or a symlink's target; nothing for a directory. Read before the next part is taken. */
  readonly content: AsyncIterable<Uint8Array>
  /** Where the daemon finds the same content, for `nocopy`: a URL or an absolute path. */
  readonly absPath?: string
}

/** What a handler of a route gets, and a client's caller gives with some parts optional. */
export type RouteInput<Name extends RouteName> =
  (typeof ROUTES)[Name] extends Route<infer Kind, infer _Args, infer Input, infer _Output>
    ? Kind extends 'add'
      ? Input & { readonly parts: AsyncIterable<AddPart> }
      : Kind extends 'bulk'
        ? Input & { readonly lines: AsyncIterable<readonly BulkLine[]> }
        : Input
    : never

export type RouteArgs<Name extends RouteName> =
  (typeof ROUTES)[Name] extends Route<infer Kind, infer Args, infer _Input, infer _Output>
    ? Kind extends 'add'
      ? Args & { readonly parts: AsyncIterable<AddPart> }
      : Args
    : never

/** A listing whose lines are made already: chunks of whole lines, each its reader's to keep. */
export interface NdjsonChunks {
  readonly ndjson: AsyncIterable<Uint8Array>
}

/** An archive that nobody works on before it is read. */
export interface CarBytes {
  readonly car: AsyncIterable<Uint8Array>
}

/** What a handler returns. */
export type RouteResult<Name extends RouteName> =
  (typeof ROUTES)[Name] extends Route<infer Kind, infer _Args, infer _Input, infer Output>
    ? Kind extends 'json'
      ? Output | Promise<Output>
      : Kind extends 'stream'
        ? AsyncIterable<Output> | NdjsonChunks
        : Kind extends 'add'
          ? AsyncIterable<AddedOutput>
          : Kind extends 'bulk'
            ? AsyncIterable<string>
            : Kind extends 'car'
              ? CarBytes | Promise<CarBytes>
              : void | Promise<void>
    : never

export type RouteHandler<Name extends RouteName> = (
  input: RouteInput<Name>,
  options: AbortOptions,
) => RouteResult<Name>

/** All of the server: one handler a route. */
export type RouteHandlers = { readonly [Name in RouteName]: RouteHandler<Name> }
