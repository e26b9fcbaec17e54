import { CodedError, errorMessage } from '@ipfs-cluster/base'

export type IpfsFailure =
  | { readonly code: 'IPFS_UNREACHABLE'; readonly address: string }
  /** `status` is the HTTP status, where there is one; `text` the daemon's own message. */
  | {
      readonly code: 'IPFS_REQUEST_FAILED'
      readonly path: string
      readonly status?: number
      readonly text: string
      /** The connection ended in the middle of the answer: the daemon may have gone. */
      readonly broken?: boolean
    }
  | { readonly code: 'IPFS_TIMEOUT'; readonly path: string; readonly timeoutMs: number }
  | { readonly code: 'IPFS_UNPIN_DISABLED' }
  | { readonly code: 'IPFS_BAD_PATH'; readonly path: string }
  /** A collection runs, and adds have to wait for it. */
  | { readonly code: 'IPFS_COLLECTING' }
  /** Adds are under way, and a collection has to wait for them. */
  | { readonly code: 'IPFS_HELD'; readonly adds: number }

export class IpfsError extends CodedError<IpfsFailure> {
  override readonly name = 'IpfsError'
}

/** The text is Go's, since clients and people compare it (`pin_error` shows it). */
export function requestFailed(path: string, status: number, text: string): IpfsError {
  return new IpfsError(`IPFS error (${path}). Code: ${status}. Message: ${text}`, {
    code: 'IPFS_REQUEST_FAILED',
    path,
    status,
    text,
  })
}

/** The daemon answered, but not with what was asked for. */
export function badAnswer(path: string, what: string, cause?: unknown): IpfsError {
  return new IpfsError(
    `IPFS error (${path}). Message: ${what}`,
    { code: 'IPFS_REQUEST_FAILED', path, text: what },
    cause === undefined ? undefined : { cause },
  )
}

/** The connection ended in the middle of an answer. */
export function connectionBroke(path: string, cause: unknown): IpfsError {
  const text = `the connection broke: ${errorMessage(cause)}`
  return new IpfsError(
    `IPFS error (${path}). Message: ${text}`,
    { code: 'IPFS_REQUEST_FAILED', path, text, broken: true },
    { cause },
  )
}

export function timedOut(path: string, timeoutMs: number, what = 'no answer'): IpfsError {
  return new IpfsError(`IPFS error (${path}). Message: ${what} within ${timeoutMs / 1000} s`, {
    code: 'IPFS_TIMEOUT',
    path,
    timeoutMs,
  })
}

export function unpinDisabled(): IpfsError {
  return new IpfsError('ipfs unpinning is disallowed by configuration on this peer', {
    code: 'IPFS_UNPIN_DISABLED',
  })
}

export function badPath(path: string, why: string): IpfsError {
  return new IpfsError(`invalid path ${JSON.stringify(path)}: ${why}`, { code: 'IPFS_BAD_PATH', path })
}

/** True for an error that the daemon answered, with such a text when one is given. */
export function isRequestFailure(error: unknown, text = /^/): boolean {
  return error instanceof IpfsError && error.data.code === 'IPFS_REQUEST_FAILED' && text.test(error.data.text)
}
