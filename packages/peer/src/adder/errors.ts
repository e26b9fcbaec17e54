import { CodedError } from '@ipfs-cluster/base'

export type AdderFailure =
  | { readonly code: 'ADD_NO_CONTENT' }
  | { readonly code: 'ADD_BAD_CAR' }
  | { readonly code: 'ADD_INCOMPLETE_CAR'; readonly missing: number }
  /** The upload contradicts itself: a file where a folder is, two files of one name. */
  | { readonly code: 'ADD_BAD_CONTENT'; readonly path: string }
  | { readonly code: 'ADD_ALL_DESTINATIONS_FAILED'; readonly destinations: readonly string[] }
  | { readonly code: 'ADD_UNSUPPORTED'; readonly parameter: string }
  | { readonly code: 'ADD_BAD_SHARD_SIZE'; readonly shardSize: bigint }

export class AdderError extends CodedError<AdderFailure> {
  override readonly name = 'AdderError'
}

export function unsupported(parameter: string, message: string): AdderError {
  return new AdderError(message, { code: 'ADD_UNSUPPORTED', parameter })
}

export function badContent(path: string, message: string): AdderError {
  return new AdderError(message, { code: 'ADD_BAD_CONTENT', path })
}

export function badCar(message: string, cause?: unknown): AdderError {
  return new AdderError(message, { code: 'ADD_BAD_CAR' }, cause === undefined ? undefined : { cause })
}

/** @param first some of those that are missing. */
export function incompleteCar(missing: number, first: readonly { toString(): string }[]): AdderError {
  const more = missing > first.length ? ' and others' : ''
  const what = missing === 1 ? 'block that its DAG needs is' : 'blocks that its DAG needs are'
  return new AdderError(
    `the CAR is incomplete: ${missing} ${what} not in it (${first.join(', ')}${more}); nothing was pinned`,
    { code: 'ADD_INCOMPLETE_CAR', missing },
  )
}
