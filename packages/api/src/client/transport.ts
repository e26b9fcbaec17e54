import type { AbortOptions } from '@ipfs-cluster/base'

/** One HTTP request. */
export interface HttpCall {
  /** `http://host:port`, `https://…`, or what else the transport knows; a path behind it is a prefix. */
  readonly host: string
  readonly method: string
  /** Escaped, starting with a slash, with its query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | AsyncIterable<Uint8Array>
}

export interface HttpAnswer {
  readonly status: number
  /** Leaving it early gives up the connection. Throws when the answer breaks off. */
  readonly body: AsyncIterable<Uint8Array>
  /** Every value of a trailer; known once `body` has ended. */
  trailer(name: string): readonly string[]
}

/** How the client reaches a peer. */
export interface HttpTransport {
  /** False where HTTP trailers cannot be read (fetch): errors in the middle of a stream then look like its end. */
  readonly readsTrailers: boolean
  /**
   * Resolves with the head of the answer, whatever its status. A body that can be read once only must not be touched before the peer
   * has been reached.
   *
   * @throws any error when there was no HTTP answer; the signal's reason when that fired.
   */
  send(call: HttpCall, options?: AbortOptions): Promise<HttpAnswer>
}
