import { CodedError, errorCode, errorMessage } from './errors.ts'

export type StoreFailure =
  | { readonly code: 'STORE_LOCKED'; readonly path: string }
  | { readonly code: 'STORE_CORRUPT'; readonly path: string }
  | { readonly code: 'STORE_FULL'; readonly path: string }
  | { readonly code: 'STORE_REOPENED'; readonly path: string }
  | { readonly code: 'STORE_FAILED'; readonly path: string }

export class StoreError extends CodedError<StoreFailure> {
  override readonly name = 'StoreError'
}

/** What the engine threw, as an error that says which folder it is about and what to do. */
export function toStoreError(error: unknown, path: string): StoreError {
  if (error instanceof StoreError) return error
  const cause = error instanceof Error ? (error.cause ?? error) : error
  const text = errorMessage(cause)
  const code = errorCode(cause) ?? ''
  const options = { cause: error }
  if (code === 'LEVEL_LOCKED') {
    return new StoreError(
      `the store ${path} is open in another process; stop that one first`,
      { code: 'STORE_LOCKED', path },
      options,
    )
  }
  if (code === 'LEVEL_CORRUPTION' || text.startsWith('Corruption')) {
    return new StoreError(
      `the store ${path} is damaged (${text}); restore it from a copy, or move it away and let the peer sync anew`,
      { code: 'STORE_CORRUPT', path },
      options,
    )
  }
  if (code === 'ENOSPC' || code === 'EDQUOT' || /no space left|quota exceeded/i.test(text)) {
    return new StoreError(
      `no space left on the disk of ${path}: nothing was changed; free some, and writing goes on by itself`,
      { code: 'STORE_FULL', path },
      options,
    )
  }
  if (code === 'LEVEL_ITERATOR_NOT_OPEN' || code === 'LEVEL_SNAPSHOT_NOT_OPEN') {
    return new StoreError(
      `the store ${path} was opened anew after a failed write, which ended this listing; ask again`,
      { code: 'STORE_REOPENED', path },
      options,
    )
  }
  return new StoreError(`the store ${path} failed: ${text}`, { code: 'STORE_FAILED', path }, options)
}

/** Whether the engine could not write: its files may end in the middle of a record then. */
export function isWriteFailure(error: unknown): boolean {
  return errorCode(error) === 'LEVEL_IO_ERROR'
}
