/** What a handler of a hijacked route is given, and the forms in which it answers. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Cluster } from '../../cluster/index.ts'
import type { IpfsConnector } from '../../ipfsconn/index.ts'
import { jsonString } from '@ipfs-cluster/api'
import type { Clock, Logger } from '@ipfs-cluster/base'
import { sendJson } from '../common/index.ts'
import { takesChunks } from './passing.ts'
import type { Upstream } from './types.ts'

export interface HijackComponents {
  readonly cluster: Pick<
    Cluster,
    'add' | 'pin' | 'pinGet' | 'pinPath' | 'pins' | 'repoGC' | 'repoStat' | 'unpin' | 'unpinPath' | 'version'
  >
  readonly ipfs: Pick<IpfsConnector, 'resolve'>
  readonly upstream: Upstream
  readonly clock: Clock
  readonly logger: Logger
}

/** A request that the cluster answers. */
export interface HijackedCall extends HijackComponents {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly signal: AbortSignal
  /** Escaped, without the query. */
  readonly path: string
  /** With an argument that came in the path as its only `arg`. */
  readonly query: URLSearchParams
}

/** Answers; what it throws before its answer has begun is answered as an error. */
export type Hijacker = (call: HijackedCall) => Promise<void>

const ERROR_TRAILER = 'X-Stream-Error'
/** Errors told in the trailers of one answer; of the others, the number. Clients bound what they read. */
const TRAILERS_MAX = 32

/** An error as Kubo sends it (go-ipfs-cmds `Error`, of the normal kind). */
export function sendError(response: ServerResponse, status: number, message: string): void {
  sendJson(response, status, errorBody(message))
}

export function errorBody(message: string): string {
  return `{"Message":${jsonString(message)},"Code":0,"Type":"error"}`
}

/** Begins an answer whose failures are told behind it. */
export function beginStream({ request, response }: Pick<HijackedCall, 'request' | 'response'>): void {
  response.writeHead(
    200,
    takesChunks(request) ? { Trailer: ERROR_TRAILER, 'Transfer-Encoding': 'chunked' } : {},
  )
}

/** To be called before the answer ends. */
export function addErrorTrailers(response: ServerResponse, errors: readonly string[]): void {
  const told = errors.slice(0, TRAILERS_MAX)
  if (errors.length > told.length) told.push(`and ${errors.length - told.length} more errors`)
  // A header line holds neither line breaks nor anything beyond ASCII.
  const lines = told.map(
    error => [ERROR_TRAILER, error.replaceAll(/[^\x20-\x7e]+/g, ' ')] as [string, string],
  )
  if (lines.length > 0) response.addTrailers(lines)
}
