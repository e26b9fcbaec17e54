import { CodedError } from '@ipfs-cluster/base'

export type ApiFailure =
  /** A text that is not a peer id, multiaddr or CID. */
  | { readonly code: 'API_BAD_PEER_ID' | 'API_BAD_MULTIADDR' | 'API_BAD_CID'; readonly text: string }
  /** Bytes that are not a pin of the pinset. */
  | { readonly code: 'API_BAD_PIN' }
  /** `field` is the path of the value that does not fit, such as `pin.expire_at`. */
  | { readonly code: 'API_BAD_JSON'; readonly field: string }
  /** A parameter of a request; the message is what the Go API answers with status 400. */
  | { readonly code: 'BAD_PARAMETER' }
  /** The peer answered with an error; `message` without decoration is its text. */
  | { readonly code: 'API_ERROR'; readonly status: number; readonly message: string }
  /** No peer gave an HTTP answer, or the answer broke off. */
  | { readonly code: 'API_UNREACHABLE'; readonly hosts: readonly string[] }
  /** A pin cannot reach the status that was waited for, because a peer reported an error. */
  | { readonly code: 'API_WAIT_FAILED'; readonly status: number }

export class ApiError extends CodedError<ApiFailure> {
  override readonly name = 'ApiError'
}

/** A parameter of a request that a server answers with status 400 and this text. */
export function badParameter(message: string, cause?: unknown): ApiError {
  return new ApiError(message, { code: 'BAD_PARAMETER' }, { cause })
}
