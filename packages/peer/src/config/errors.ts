import { CodedError } from '@ipfs-cluster/base'

export type ConfigFailure =
  | { readonly code: 'CONFIG_MISSING'; readonly path: string }
  | { readonly code: 'CONFIG_UNREADABLE'; readonly path: string }
  | { readonly code: 'CONFIG_INVALID'; readonly key: string }
  | { readonly code: 'CONFIG_SOURCE'; readonly url: string }
  | { readonly code: 'CONFIG_UNSUPPORTED'; readonly key: string }

/** The configuration cannot be used; the message names the key and what it should be. */
export class ConfigError extends CodedError<ConfigFailure> {
  override readonly name = 'ConfigError'
}

export function invalid(key: string, problem: string): ConfigError {
  return new ConfigError(`${key}: ${problem}`, { code: 'CONFIG_INVALID', key })
}
