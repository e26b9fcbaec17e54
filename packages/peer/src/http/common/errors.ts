import { CodedError } from '@ipfs-cluster/base'

export type HttpFailure =
  | { readonly code: 'HTTP_LISTEN_FAILED'; readonly address: string }
  | { readonly code: 'HTTP_LOG_FILE'; readonly path: string }
  | { readonly code: 'HTTP_NO_ENDPOINTS' }
  | { readonly code: 'HTTP_BAD_UPLOAD' }

/** A listener, a log file or an upload failed; the message names the address, the file or the part. */
export class HttpError extends CodedError<HttpFailure> {
  override readonly name = 'HttpError'
}
