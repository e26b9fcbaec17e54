import type { Readable } from 'node:stream'
import type { Multiaddr } from '@ipfs-cluster/api'
import type { HttpHandler } from '../common/index.ts'

/** The section `ipfsproxy`, but for the address of the daemon (`HttpUpstreamConfig`). */
export interface IpfsProxyConfig {
  readonly listen: readonly Multiaddr[]
  /** 0 = none, for all four; see `HttpServerConfig`. */
  readonly readTimeoutMs: number
  readonly readHeaderTimeoutMs: number
  readonly writeTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly maxHeaderBytes: number
  /** Headers of the daemon that our own answers have, too, beyond those for cross-origin requests. */
  readonly extractHeadersExtra: readonly string[]
  /** Where the daemon is asked for them (POST). */
  readonly extractHeadersPath: string
  /** How long what the daemon said is used before it is asked again; 0 = for ever. */
  readonly extractHeadersTtlMs: number
  /** Where requests are logged. @default the peer's own log */
  readonly logFile?: string
}

/** The daemon that the proxy stands before. */
export interface Upstream {
  /**
   * Lets the daemon answer a request as it stands, both bodies streamed under back-pressure. When the daemon cannot be reached the answer is 502 with
   * an empty body; when it dies in mid-answer, the client's connection breaks. Rejects when the signal fires.
   */
  readonly forward: HttpHandler
  /**
   * Sends a request of our own. Resolves with the head of the answer, of any status.
   *
   * @throws ProxyError `IPFS_UNREACHABLE`, or the reason of the signal, which bounds the body of the answer, too.
   */
  ask(request: UpstreamRequest, options: { readonly signal: AbortSignal }): Promise<UpstreamAnswer>
}

export interface UpstreamRequest {
  readonly method: string
  /** Path and query, escaped. */
  readonly target: string
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  /** Sent as it comes. */
  readonly body?: Readable | undefined
}

/** To be disposed of, whether its body was read or not. */
export interface UpstreamAnswer extends Disposable {
  readonly status: number
  /** All values of a header, by lower-case name. */
  readonly headers: Readonly<NodeJS.Dict<string[]>>
  /** Fails when the daemon dies before its end. */
  readonly body: AsyncIterable<Uint8Array>
  /** Empty until the body has been read. */
  trailers(): Readonly<NodeJS.Dict<string>>
}
