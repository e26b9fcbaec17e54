import type { Multiaddr } from '@ipfs-cluster/api'

export interface HttpApiConfig {
  readonly listen: readonly Multiaddr[]
  readonly readTimeoutMs: number
  readonly readHeaderTimeoutMs: number
  readonly writeTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly maxHeaderBytes: number
  /** Added to every response. */
  readonly headers: Readonly<Record<string, readonly string[]>>
}

export interface HttpApi extends AsyncDisposable {
  /** `http://127.0.0.1:9094`, one per listener, with the ports the system gave. */
  readonly urls: readonly string[]
}
