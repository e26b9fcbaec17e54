import { CodedError } from '@ipfs-cluster/base'

export type AdderFailure =
  | { readonly code: 'ADD_NO_CONTENT' }
  | { readonly code: 'ADD_BAD_CAR' }
  /** The upload contradicts itself: a file where a folder is, two files of one name. */
  | { readonly code: 'ADD_BAD_CONTENT'; readonly path: string }
  | { readonly code: 'ADD_ALL_DESTINATIONS_FAILED'; readonly destinations: readonly string[] }
  | { readonly code: 'ADD_UNSUPPORTED'; readonly parameter: string }

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
