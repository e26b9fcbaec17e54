export type { HttpApiConfig } from '../common/index.ts'

export interface HttpApi extends AsyncDisposable {
  /** `http://127.0.0.1:9094`, one per listener, with the ports the system gave; `https://…` with TLS, `unix:///path`. */
  readonly urls: readonly string[]
}
