/** Bodies and queries into what is asked for. Every error is `BAD_PARAMETER` and names the field. */
import { badParameter, hasPeerId, parseCid, parseMultiaddr, parseTime, type Time } from '@ipfs-cluster/api'
import { errorMessage } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { NAME_STRATEGIES, PIN_STATUSES, type ListQuery, type PinAsked, type PinStatusName } from './types.ts'

/** Of the specification. */
const NAME_CHARS_MAX = 255
const CIDS_MAX = 10
const LIMIT_DEFAULT = 10
const LIMIT_MAX = 1_000
const META_KEYS_MAX = 1_000
/** Of the specification; Kubo sends as many as it has, and those beyond are left out: they are hints. */
const ORIGINS_KEPT = 20
const ORIGINS_MAX = 1_000
/** UTF-8 bytes of all keys and values: every peer keeps them. */
const META_BYTES_MAX = 64 * 1024

/** @throws ApiError `BAD_PARAMETER` */
export function readRequestId(text: string): CID {
  return reading('requestid', () => parseCid(text))
}

/** @throws ApiError `BAD_PARAMETER` */
export function readPin(body: string): PinAsked {
  const pin: unknown = reading('the request body', () => JSON.parse(body))
  if (!isObject(pin)) throw badParameter('the request body must be a JSON object: a pin with its cid')
  const { cid, name, origins, meta } = pin
  if (cid === undefined || cid === null) throw badParameter('cid is missing')
  if (typeof cid !== 'string') throw badParameter(`cid must be a string, not ${kindOf(cid)}`)
  return {
    cid: reading('cid', () => parseCid(cid)),
    name: readName(name ?? ''),
    origins: readOrigins(origins ?? []),
    metadata: readMeta(meta ?? {}),
  }
}

/** @throws ApiError `BAD_PARAMETER` */
export function readListQuery(query: URLSearchParams): ListQuery {
  const cids = listed(query, 'cid')
  if (cids.length > CIDS_MAX) throw badParameter(`cid: at most ${CIDS_MAX} can be asked for at a time`)
  const match = query.get('match') || 'exact'
  const strategy = NAME_STRATEGIES.find(each => each === match)
  if (strategy === undefined) throw badParameter(`match must be one of ${NAME_STRATEGIES.join(', ')}`)
  const meta = query.get('meta') || '{}'
  const name = readName(query.get('name') ?? '')
  const metadata = readMeta(reading('meta', () => JSON.parse(meta)))
  const isFiltered = cids.length > 0 || name !== '' || Object.keys(metadata).length > 0
  return {
    cids: cids.map(cid => reading('cid', () => parseCid(cid))),
    name,
    match: strategy,
    metadata,
    statuses: readStatuses(listed(query, 'status'), isFiltered),
    before: readTime(query, 'before'),
    after: readTime(query, 'after'),
    limit: readLimit(query.get('limit') || String(LIMIT_DEFAULT)),
  }
}

/** Separated by commas, as the specification has it, or as several parameters. */
function listed(query: URLSearchParams, name: string): string[] {
  const values = query.getAll(name).flatMap(value => value.split(','))
  return [...new Set(values.map(value => value.trim()).filter(value => value !== ''))]
}

/**
 * Without any: `pinned`, of a list of everything; of what is looked for by CID, name or metadata any. The specification says both that `pinned` is the
 * default and that it is so where no filter is given; its compliance checks, and clients of Go peers, look for pins by name or CID that are not pinned yet.
 */
function readStatuses(names: readonly string[], isFiltered: boolean): ReadonlySet<PinStatusName> {
  if (names.length === 0) return new Set(isFiltered ? PIN_STATUSES : ['pinned'])
  return new Set(
    names.map(name => {
      const status = PIN_STATUSES.find(each => each === name)
      if (status === undefined) {
        throw badParameter(`status ${show(name)}: it must be of ${PIN_STATUSES.join(', ')}`)
      }
      return status
    }),
  )
}

function readTime(query: URLSearchParams, name: string): Time {
  const text = query.get(name)
  // A plus that was not escaped arrives as a space: that of a time zone.
  return text === null || text === '' ? null : reading(name, () => parseTime(text.replace(' ', '+')))
}

function readLimit(text: string): number {
  const limit = /^\d{1,9}$/.test(text) ? Number(text) : 0
  if (limit < 1 || limit > LIMIT_MAX) {
    throw badParameter(`limit must be a whole number from 1 to ${LIMIT_MAX}, not ${show(text)}`)
  }
  return limit
}

function readName(name: unknown): string {
  if (typeof name !== 'string') throw badParameter(`name must be a string, not ${kindOf(name)}`)
  // Twice as many when each is of two units.
  if (name.length > 2 * NAME_CHARS_MAX || [...name].length > NAME_CHARS_MAX) {
    throw badParameter(`name is longer than ${NAME_CHARS_MAX} characters`)
  }
  return name
}

function readOrigins(origins: unknown): string[] {
  if (!Array.isArray(origins)) throw badParameter(`origins must be an array, not ${kindOf(origins)}`)
  if (origins.length > ORIGINS_MAX) throw badParameter(`origins: at most ${ORIGINS_MAX} can be given`)
  const parsed = (origins as readonly unknown[]).map((origin, i) => {
    const field = `origins[${i}]`
    if (typeof origin !== 'string') throw badParameter(`${field} must be a string, not ${kindOf(origin)}`)
    const address = reading(field, () => parseMultiaddr(origin))
    if (!hasPeerId(address)) throw badParameter(`${field}: ${show(origin)} does not end in /p2p/<peer id>`)
    return address
  })
  return [...new Set(parsed)].slice(0, ORIGINS_KEPT)
}

function readMeta(meta: unknown): Readonly<Record<string, string>> {
  if (!isObject(meta)) throw badParameter(`meta must be an object, not ${kindOf(meta)}`)
  const entries = Object.entries(meta)
  if (entries.length > META_KEYS_MAX) throw badParameter(`meta has more than ${META_KEYS_MAX} keys`)
  let bytes = 0
  const pairs = entries.map(([key, value]): [string, string] => {
    if (typeof value !== 'string') {
      throw badParameter(`meta[${show(key)}] must be a string, not ${kindOf(value)}`)
    }
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value)
    return [key, value]
  })
  if (bytes > META_BYTES_MAX) throw badParameter(`meta is larger than ${META_BYTES_MAX} bytes`)
  return Object.fromEntries(pairs)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'an array' : typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

/** What a client sent, as part of a message. */
function show(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text)
}

function reading<T>(field: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw badParameter(`${field} cannot be read: ${errorMessage(cause)}`, cause)
  }
}
