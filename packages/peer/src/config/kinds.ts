/**
 * The kinds of values that `service.json` holds: how each is read from JSON, from an environment variable, and written back as Go's
 * encoder writes it. Problems are thrown as plain `RangeError`s with a text that completes "<key>: …".
 */
import { parseMultiaddr, parsePeerId } from '@ipfs-cluster/api'
import { formatDurationMs, fromHex, parseByteSize, parseDurationMs, toHex } from '@ipfs-cluster/base'

export interface Kind<T> {
  /** Go's zero value. */
  readonly zero: T
  parse(json: unknown): T
  /** From an environment variable. */
  env(text: string): T
  format(value: T): unknown
  /** An empty text, in the file or a variable, is as good as none. */
  readonly emptyIsMissing?: boolean
}

export const text: Kind<string> = {
  zero: '',
  parse: json => expectType(json, 'string', 'a string'),
  env: value => value,
  format: value => value,
}

export const bool: Kind<boolean> = {
  zero: false,
  parse: json => expectType(json, 'boolean', 'true or false'),
  env(value) {
    if (/^(1|t|T|TRUE|true|True)$/.test(value)) return true
    if (/^(0|f|F|FALSE|false|False)$/.test(value)) return false
    throw new RangeError(`must be true or false, not ${JSON.stringify(value)}`)
  },
  format: value => value,
}

export const int: Kind<number> = {
  zero: 0,
  parse(json) {
    const value = expectType(json, 'number', 'a whole number')
    if (!Number.isSafeInteger(value)) throw new RangeError(`must be a whole number, not ${value}`)
    return value
  },
  env(value) {
    const number = /^[+-]?(0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0[bB][01]+|\d+)$/.test(value)
      ? parseInteger(value)
      : Number.NaN
    if (!Number.isSafeInteger(number))
      throw new RangeError(`must be a whole number, not ${JSON.stringify(value)}`)
    return number
  },
  format: value => value,
}

export const float: Kind<number> = {
  zero: 0,
  parse(json) {
    const value = expectType(json, 'number', 'a number')
    // Such as 1e400, which JSON can say but not write.
    if (!Number.isFinite(value)) throw new RangeError(`must be a number, not ${value}`)
    return value
  },
  env(value) {
    const number = Number(value)
    if (value.trim() === '' || !Number.isFinite(number))
      throw new RangeError(`must be a number, not ${JSON.stringify(value)}`)
    return number
  },
  format: value => value,
}

/** Milliseconds here, Go's `2m0s` in the file. */
export const duration: Kind<number> = {
  zero: 0,
  parse: json => parseDurationMs(expectType(json, 'string', 'a duration such as "2m30s"')),
  env: value => parseDurationMs(value),
  format: value => formatDurationMs(value),
  emptyIsMissing: true,
}

/** A number of bytes, kept as written: `10GB`, or a plain number. Empty is none. */
export const byteSize: Kind<string> = {
  zero: '',
  parse: json =>
    checkByteSize(
      typeof json === 'number' ? String(json) : expectType(json, 'string', 'a size such as "10GB"'),
    ),
  env: value => checkByteSize(value),
  format: value => value,
}

/** A duration of the `crdt` section: Go takes `initial` for one that it cannot read, and says nothing. */
export function forgivingDuration(initial: number): Kind<number> {
  const orInitial = (text: string) => {
    try {
      return parseDurationMs(text)
    } catch {
      // As documented above.
      return initial
    }
  }
  return {
    ...duration,
    parse: json => orInitial(expectType(json, 'string', 'a duration such as "2m30s"')),
    env: orInitial,
  }
}

export const textList: Kind<readonly string[]> = {
  zero: [],
  parse: json => (json === null ? [] : expectList(json)),
  env: value => (value === '' ? [] : value.split(',')),
  format: value => [...value],
}

/** Peer ids; `*` stands for all of them where `all` says so. */
export function peerIds({ all }: { readonly all: boolean }): Kind<readonly string[]> {
  const check = (id: string) => (all && id === '*' ? id : readPeerId(id))
  return {
    ...textList,
    parse: json => textList.parse(json).map(check),
    env: value => textList.env(value).map(check),
  }
}

/** One multiaddr; checked, kept as written. */
export const address: Kind<string> = {
  zero: '',
  parse: json => checkAddress(expectType(json, 'string', 'a multiaddress')),
  env: value => checkAddress(value),
  format: value => value,
}

/** A plain list of multiaddrs. */
export const addressList: Kind<readonly string[]> = {
  zero: [],
  parse: json => textList.parse(json).map(checkAddress),
  env: value => textList.env(value).map(checkAddress),
  format: value => [...value],
}

/** A list that may be a single string in the file, and is written as one when it has one element. */
export const addresses: Kind<readonly string[]> = {
  zero: [],
  parse: json => addressList.parse(typeof json === 'string' ? [json].filter(each => each !== '') : json),
  env: addressList.env,
  format: value => (value.length === 1 ? value[0] : [...value]),
}

export const textMap: Kind<Readonly<Record<string, string>>> = {
  zero: {},
  parse(json) {
    if (json === null) return {}
    return mapObject(expectObject(json), value => expectType(value, 'string', 'a string'))
  },
  env(value) {
    if (value === '') return {}
    return Object.fromEntries(
      value.split(',').map(pair => {
        const at = pair.indexOf(':')
        if (at < 0)
          throw new RangeError(`must be pairs such as key:value,key2:value2, not ${JSON.stringify(value)}`)
        return [pair.slice(0, at), pair.slice(at + 1)]
      }),
    )
  },
  format: value => sortKeys(value),
}

/** A text that no message may show, whatever is wrong with it. */
export const hiddenText: Kind<string> = {
  ...text,
  parse: json => concealed('must be a string', () => text.parse(json)),
}

/** User names to passwords, or `null` for no authentication. Never printed. */
export const credentials: Kind<Readonly<Record<string, string>> | null> = {
  zero: null,
  parse: json =>
    json === null
      ? null
      : concealed('must be an object of user names and passwords, both strings', () => textMap.parse(json)),
  env: value => concealed('must be pairs such as user:password,user2:password2', () => textMap.env(value)),
  format: value => (value === null ? null : sortKeys(value)),
}

/** HTTP headers: name to values. */
export const headerMap: Kind<Readonly<Record<string, readonly string[]>>> = {
  zero: {},
  parse: json => (json === null ? {} : mapObject(expectObject(json), expectList)),
  env: value => mapObject(textMap.env(value), each => [each]),
  format: value => sortKeys(value),
}

/** 32 bytes in hex, or nothing. */
export const secret: Kind<Uint8Array | undefined> = {
  zero: undefined,
  parse: json => parseSecret(concealed('must be a string of 64 hex digits', () => text.parse(json))),
  env: value => parseSecret(value),
  format: value => (value === undefined ? '' : toHex(value)),
}

/**
 * Tuning of a Go storage engine: kept as it stands, so that the file survives a round trip. Zero values in the file do not override
 * the defaults, as in Go.
 */
export const engineOptions: Kind<Readonly<Record<string, unknown>>> = {
  zero: {},
  parse: json => expectObject(json),
  env(): never {
    throw new RangeError('set its fields one by one')
  },
  format: value => value,
}

/** Reads a variable for an option that has the value `now`. Lists cannot be set. */
export function engineOptionFrom(variable: string, now: unknown): unknown {
  if (typeof now === 'boolean') return bool.env(variable)
  if (typeof now === 'string') return variable
  if (typeof now !== 'number') throw new RangeError('cannot be set by an environment variable')
  return Number.isInteger(now) ? int.env(variable) : float.env(variable)
}

export function parseSecret(hex: string): Uint8Array | undefined {
  if (hex === '') return undefined
  let bytes: Uint8Array
  try {
    bytes = fromHex(hex)
  } catch {
    throw new RangeError('error loading cluster secret from config: it must be hexadecimal')
  }
  if (bytes.length !== 32) {
    throw new RangeError(
      `error loading cluster secret from config: input secret is ${bytes.length} bytes, cluster secret should be 32`,
    )
  }
  return bytes
}

function readPeerId(value: string): string {
  try {
    return parsePeerId(value)
  } catch (cause) {
    throw new RangeError(`${JSON.stringify(value)} is not a peer id such as 12D3KooW…`, { cause })
  }
}

/** Says what is wanted, and not what was found. */
function concealed<T>(wanted: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    // Its message may quote the value.
    throw error instanceof RangeError ? new RangeError(wanted) : error
  }
}

function checkAddress(value: string): string {
  try {
    parseMultiaddr(value)
  } catch (cause) {
    throw new RangeError(`${JSON.stringify(value)} is not a multiaddress such as /ip4/127.0.0.1/tcp/9094`, {
      cause,
    })
  }
  return value
}

function checkByteSize(value: string): string {
  if (value !== '' && parseByteSize(value) > Number.MAX_SAFE_INTEGER)
    throw new RangeError(`${JSON.stringify(value)} is more than any disk has`)
  return value
}

function parseInteger(value: string): number {
  const sign = value.startsWith('-') ? -1 : 1
  const digits = value.replace(/^[+-]/, '')
  // Go reads a leading 0 as octal.
  return sign * Number(/^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits)
}

function expectType<K extends 'string' | 'number' | 'boolean'>(
  value: unknown,
  type: K,
  wanted: string,
): { string: string; number: number; boolean: boolean }[K] {
  if (typeof value !== type) throw new RangeError(`must be ${wanted}, not ${describe(value)}`)
  return value as { string: string; number: number; boolean: boolean }[K]
}

function expectList(value: unknown): string[] {
  if (!Array.isArray(value)) throw new RangeError(`must be a list of strings, not ${describe(value)}`)
  return value.map(item => expectType(item, 'string', 'a list of strings'))
}

export function expectObject(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RangeError(`must be an object, not ${describe(value)}`)
  }
  return { ...value }
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  return value === null ? 'null' : typeof value === 'object' ? 'an object' : JSON.stringify(value)
}

function mapObject<A, B>(object: Readonly<Record<string, A>>, map: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value)]))
}

function sortKeys<T>(object: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(object).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
}
