/** What may go wrong with a request to the fake Kubo. */
export type InjectedFailure = {
  /** Endpoint, such as `pin/add`. */
  readonly path: string
  /** How many requests. @default 1 */
  readonly times?: number
} & (
  | { readonly kind: 'error'; readonly status: number; readonly message: string }
  /** Close the connection without an answer. */
  | { readonly kind: 'refuse' }
  /** Never answer. */
  | { readonly kind: 'stall' }
  /** After the first object, break the connection. */
  | { readonly kind: 'cut' }
  /** After the first object, end as if that were all. */
  | { readonly kind: 'end' }
  /** After the first object, end with this in `X-Stream-Error`. */
  | { readonly kind: 'trailer'; readonly message: string }
)

/** Takes the first failure waiting for this path. */
export function matchFailure(failures: InjectedFailure[], path: string): InjectedFailure | undefined {
  const index = failures.findIndex(failure => failure.path === path)
  const failure = failures[index]
  if (failure === undefined) return undefined
  if ((failure.times ?? 1) > 1) failures[index] = { ...failure, times: (failure.times ?? 1) - 1 }
  else failures.splice(index, 1)
  return failure
}
