/**
 * An error is a code with data: callers branch on `code`, people read `message`, and `data` carries what both need.
 *
 * A room declares its failures as a union, for example
 * `type StoreFailure = { code: 'STORE_LOCKED'; path: string } | { code: 'STORE_CORRUPT'; path: string }`,
 * and a class `StoreError extends CodedError<StoreFailure>`.
 */
export class CodedError<Failure extends { readonly code: string }> extends Error {
  override readonly name: string = 'CodedError'
  readonly data: Failure

  /** @param message what happened and, where the reader can act, what to do. */
  constructor(message: string, data: Failure, options?: ErrorOptions) {
    super(message, options)
    this.data = data
  }

  get code(): Failure['code'] {
    return this.data.code
  }
}

/** The code of a coded error, or of a Node system error (`ENOSPC`); `undefined` otherwise. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** The text of anything thrown. */
export function errorMessage(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map(errorMessage).join('; ')
  }
  return error instanceof Error ? error.message : String(error)
}

/** Anything thrown, as an `Error`. */
export function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}

/** A broken invariant: a programmer's error, never an operator's. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`invariant broken: ${message}`)
}

/** For the `default` of an exhaustive switch. */
export function assertNever(value: never): never {
  throw new Error(`unexpected value: ${String(value)}`)
}
