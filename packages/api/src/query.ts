/** Pin options and add parameters in a URL's query (Go: `api/types.go`, `api/add.go`), with Go's error texts. */
import { errorMessage, parseByteSize, parseDurationNs } from '@ipfs-cluster/base'
import { badParameter } from './api-error.ts'
import { cidText, parseCid } from './cid.ts'
import { hasPeerId, parseMultiaddr } from './multiaddr.ts'
import { parsePeerId } from './peer-id.ts'
import { formatTime, parseTime } from './time.ts'
import {
  DEFAULT_ADD_PARAMS,
  type AddParams,
  type Multiaddr,
  type PeerId,
  type PinOptions,
  type Time,
} from './types.ts'

const META_PREFIX = 'meta-'
const NS_PER_S = 1_000_000_000n

/**
 * @param nowNs Unix nanoseconds, for `expire-in`.
 * @throws ApiError `BAD_PARAMETER` with the text of Go's answer.
 */
export function pinOptionsFromQuery(query: URLSearchParams, nowNs: bigint): PinOptions {
  const both = query.get('replication') || undefined
  const pinUpdate = query.get('pin-update')
  return {
    replicationFactorMin: intParam('replication-min', both ?? query.get('replication-min')),
    replicationFactorMax: intParam('replication-max', both ?? query.get('replication-max')),
    name: query.get('name') ?? '',
    mode: query.get('mode') === 'direct' ? 'direct' : 'recursive',
    shardSize: shardSizeParam(query.get('shard-size')),
    userAllocations: peersParam(query.get('user-allocations')),
    expireAt: expiryParam(query, nowNs),
    metadata: metadataParams(query),
    pinUpdate: pinUpdate
      ? attempt('error decoding update option parameter', () => parseCid(pinUpdate))
      : null,
    origins: originsParam(query.get('origins')),
    ...sizeParam(query, 'size', 'size'),
    ...sizeParam(query, 'max-pin-size', 'maxPinSize'),
  }
}

/** What Go's client sends, keys sorted. The inverse of `pinOptionsFromQuery`. */
export function pinOptionsToQuery(options: PinOptions): URLSearchParams {
  const query = new URLSearchParams({
    'replication-min': String(options.replicationFactorMin),
    'replication-max': String(options.replicationFactorMax),
    name: options.name,
    mode: options.mode,
    'shard-size': String(options.shardSize),
    'user-allocations': options.userAllocations.join(','),
  })
  if (options.expireAt !== null) query.set('expire-at', formatTime(options.expireAt))
  for (const [key, value] of Object.entries(options.metadata)) {
    if (key !== '') query.set(META_PREFIX + key, value)
  }
  if (options.pinUpdate !== null) query.set('pin-update', cidText(options.pinUpdate))
  if (options.origins.length > 0) query.set('origins', options.origins.join(','))
  if (options.size !== undefined) query.set('size', String(options.size))
  if (options.maxPinSize !== undefined) query.set('max-pin-size', String(options.maxPinSize))
  query.sort()
  return query
}

/**
 * @param nowNs Unix nanoseconds, for `expire-in`.
 * @throws ApiError `BAD_PARAMETER` with the text of Go's answer.
 */
export function addParamsFromQuery(query: URLSearchParams, nowNs: bigint): AddParams {
  const pin = { ...pinOptionsFromQuery(query, nowNs), mode: 'recursive' as const, pinUpdate: null }
  const layout = oneOf(query, 'layout', ['balanced', 'trickle'] as const)
  const format = oneOf(query, 'format', ['unixfs', 'car'] as const)
  const local = boolParam(query, 'local', false)
  const recursive = boolParam(query, 'recursive', false)
  const hidden = boolParam(query, 'hidden', false)
  const wrap = boolParam(query, 'wrap-with-directory', false)
  const shard = boolParam(query, 'shard', false)
  const progress = boolParam(query, 'progress', false)
  const cidVersion = intParam('cid-version', query.get('cid-version'))
  if (cidVersion !== 0 && cidVersion !== 1)
    throw badParameter(`bad CID Version: unknown CID version: ${cidVersion}`)
  return {
    pin,
    layout,
    format,
    local,
    recursive,
    hidden,
    wrap,
    shard,
    progress,
    cidVersion,
    chunker: query.get('chunker') || DEFAULT_ADD_PARAMS.chunker,
    hashFun: query.get('hash') || DEFAULT_ADD_PARAMS.hashFun,
    rawLeaves: boolParam(query, 'raw-leaves', cidVersion > 0),
    streamChannels: boolParam(query, 'stream-channels', true),
    noCopy: boolParam(query, 'nocopy', false),
    noPin: boolParam(query, 'no-pin', false),
    ...(boolParam(query, 'require-complete', false) && { requireComplete: true }),
  }
}

/** What Go's client sends: every parameter, keys sorted. The inverse of `addParamsFromQuery`. */
export function addParamsToQuery(params: AddParams): URLSearchParams {
  const query = pinOptionsToQuery(params.pin)
  const fields = {
    shard: params.shard,
    local: params.local,
    recursive: params.recursive,
    layout: params.layout,
    chunker: params.chunker,
    'raw-leaves': params.rawLeaves,
    hidden: params.hidden,
    'wrap-with-directory': params.wrap,
    progress: params.progress,
    'cid-version': params.cidVersion,
    hash: params.hashFun,
    'stream-channels': params.streamChannels,
    nocopy: params.noCopy,
    format: params.format,
    'no-pin': params.noPin,
  }
  for (const [name, value] of Object.entries(fields)) query.set(name, String(value))
  if (params.requireComplete === true) query.set('require-complete', 'true')
  query.sort()
  return query
}

/** As the Go API reads `local`: only the literal `true` counts. */
export function localParam(query: URLSearchParams): boolean {
  return query.get('local') === 'true'
}

/** Runs `parse`; a failure becomes a bad parameter `<doing>: <why>`. */
export function attempt<T>(doing: string, parse: () => T): T {
  try {
    return parse()
  } catch (cause) {
    throw badParameter(`${doing}: ${errorMessage(cause)}`, cause)
  }
}

/** Peers of a comma list; those that cannot be read are dropped, as Go does. */
export function readablePeers(texts: readonly string[]): PeerId[] {
  return texts.flatMap(text => {
    try {
      return [parsePeerId(text)]
    } catch {
      // Dropped by definition.
      return []
    }
  })
}

function intParam(name: string, text: string | null): number {
  if (text === null || text === '') return 0
  const value = /^[+-]?\d+$/.test(text) ? Number(text) : NaN
  if (!(value >= -(2 ** 63) && value < 2 ** 63)) throw badParameter(`parameter ${name} invalid`)
  // Go has 64 bits here. Nothing that is counted comes near the difference.
  return Math.min(Math.max(value, Number.MIN_SAFE_INTEGER), Number.MAX_SAFE_INTEGER)
}

const TRUE = ['1', 't', 'T', 'TRUE', 'true', 'True']
const FALSE = ['0', 'f', 'F', 'FALSE', 'false', 'False']

function boolParam(query: URLSearchParams, name: string, otherwise: boolean): boolean {
  const text = query.get(name)
  if (text === null || text === '') return otherwise
  if (TRUE.includes(text)) return true
  if (FALSE.includes(text)) return false
  throw badParameter(`parameter ${name} invalid`)
}

/** The first value is the default. */
function oneOf<T extends string>(query: URLSearchParams, name: string, values: readonly [T, ...T[]]): T {
  const text = query.get(name) || values[0]
  const value = values.find(each => each === text)
  if (value === undefined) throw badParameter(`${name} parameter is invalid`)
  return value
}

function shardSizeParam(text: string | null): bigint {
  if (text === null || text === '') return 0n
  const value = /^\d+$/.test(text) ? BigInt(text) : -1n
  if (BigInt.asUintN(64, value) !== value) throw badParameter('parameter shard_size is invalid')
  return value
}

/** Not of Go: bytes, or a text such as `10GB`. Absent when the parameter is, or is empty. */
function sizeParam<K extends 'size' | 'maxPinSize'>(
  query: URLSearchParams,
  name: string,
  key: K,
): { readonly [Key in K]?: bigint } {
  const text = query.get(name)
  if (text === null || text === '') return {}
  const size = attempt(`parameter ${name} invalid`, () => parseByteSize(text))
  if (BigInt.asUintN(63, size) !== size) throw badParameter(`parameter ${name} invalid: too large`)
  return { [key]: size } as { readonly [Key in K]?: bigint }
}

function peersParam(text: string | null): readonly PeerId[] {
  return text === null || text === '' ? [] : readablePeers(text.split(','))
}

function expiryParam(query: URLSearchParams, nowNs: bigint): Time {
  const at = query.get('expire-at')
  if (at) return attempt('expire-at cannot be parsed', () => parseTime(at))
  const within = query.get('expire-in')
  if (!within) return null
  const duration = attempt('expire-in cannot be parsed', () => parseDurationNs(within))
  if (duration < NS_PER_S) throw badParameter('expire-in duration too short')
  return nowNs + duration
}

function metadataParams(query: URLSearchParams): Readonly<Record<string, string>> {
  const metadata = new Map<string, string>()
  for (const [name, value] of query) {
    const key = name.startsWith(META_PREFIX) ? name.slice(META_PREFIX.length) : ''
    // Of several values Go takes the first.
    if (key !== '' && !metadata.has(key)) metadata.set(key, value)
  }
  return Object.fromEntries(metadata)
}

function originsParam(text: string | null): readonly Multiaddr[] {
  if (text === null || text === '') return []
  return text.split(',').map(part => {
    const address = attempt('error decoding multiaddress', () => parseMultiaddr(part))
    if (!hasPeerId(address)) {
      throw badParameter('multiaddress does not contain peer ID: protocol not found in multiaddr')
    }
    return address
  })
}
