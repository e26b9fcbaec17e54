/** The building blocks of the JSON codecs: how Go writes and reads each kind of value. */
import type { CID } from 'multiformats/cid'
import { ApiError } from '../api-error.ts'
import { cidText, parseCid } from '../cid.ts'
import { parseMultiaddr } from '../multiaddr.ts'
import { parsePeerId } from '../peer-id.ts'
import { formatTime, parseTime } from '../time.ts'
import type { Multiaddr, PeerId, Time } from '../types.ts'
import { sortedKeys } from '../utf8-order.ts'
import { describe, orNull, shared, type JsonSchema } from './schema.ts'
import { jsonString } from './text.ts'

/** One JSON document of type `T`. */
export interface JsonCodec<T> {
  /** Go's bytes: one line, no spaces, no newline at the end. */
  stringify(value: T): string
  /** @param value what `parseJson` gave. @throws ApiError `API_BAD_JSON`, naming the field. */
  parse(value: unknown): T
  /** Of what `stringify` writes; `parse` takes more, such as missing fields. */
  readonly schema: JsonSchema
}

/** How a value inside a document is written and read; `undefined` is a missing field and reads as Go's zero value. */
export interface JsonValue<T> {
  write(value: T): string
  /** @throws FieldError */
  read(value: unknown): T
  readonly schema: JsonSchema
}

/** A value that does not fit, with the names of the fields around it, innermost first. */
export class FieldError extends Error {
  readonly path: string[] = []
}

/** Makes a document of a value; `name` is how errors call it. */
export function document<T>(name: string, value: JsonValue<T>): JsonCodec<T> {
  return {
    schema: value.schema,
    stringify: item => value.write(item),
    parse(json) {
      try {
        return value.read(json)
      } catch (error) {
        if (!(error instanceof FieldError)) throw error
        const field = [name, ...error.path.toReversed()].join('.')
        throw new ApiError(`${field}: ${error.message}`, { code: 'API_BAD_JSON', field }, { cause: error })
      }
    },
  }
}

function expected(what: string, value: unknown): FieldError {
  const found = value === null ? 'null' : Array.isArray(value) ? 'a list' : `a ${typeof value}`
  return new FieldError(`${what} expected, found ${found}`)
}

/** Notes that the failure lies in the field `name`. */
function within(name: string, error: unknown): unknown {
  if (error instanceof FieldError) error.path.push(name)
  return error
}

/** A value that Go takes from a string; a failure of `parse` becomes a FieldError. */
function fromText<T>(
  schema: JsonSchema,
  zero: () => T,
  parse: (text: string) => T,
  write: (value: T) => string,
): JsonValue<T> {
  return {
    schema,
    write,
    read(value) {
      if (value === undefined || value === null) return zero()
      if (typeof value !== 'string') throw expected('a string', value)
      try {
        return parse(value)
      } catch (cause) {
        if (cause instanceof FieldError) throw cause
        throw new FieldError(cause instanceof Error ? cause.message : String(cause), { cause })
      }
    },
  }
}

function required(what: string): () => never {
  return () => {
    throw new FieldError(`${what} is missing`)
  }
}

export const string: JsonValue<string> = fromText(
  { type: 'string' },
  () => '',
  text => text,
  jsonString,
)

const CID_SCHEMA = shared('Cid', { type: 'string', description: 'Content identifier, of version 0 or 1.' })
const PEER_ID_SCHEMA = shared('PeerId', {
  type: 'string',
  description: 'Identity of a libp2p peer: base58btc of the multihash of its public key.',
})
const MULTIADDR_SCHEMA = shared('Multiaddr', {
  type: 'string',
  description: 'Address of a libp2p peer, such as `/ip4/127.0.0.1/tcp/9096/p2p/12D3Koo…`.',
})
const TIME_SCHEMA = shared('Time', {
  type: 'string',
  format: 'date-time',
  description: 'RFC 3339 with up to nine decimals; `0001-01-01T00:00:00Z` when there is none.',
})

export const cid: JsonValue<CID> = fromText(
  CID_SCHEMA,
  required('the CID'),
  parseCid,
  value => `"${cidText(value)}"`,
)

export const cidOrNull: JsonValue<CID | null> = fromText<CID | null>(
  orNull(CID_SCHEMA),
  () => null,
  parseCid,
  writeCidOrNull,
)

export function writeCidOrNull(value: CID | null): string {
  return value === null ? 'null' : `"${cidText(value)}"`
}

/** Missing reads as no peer, the empty text; an empty text itself is refused, as Go does. */
export const peerId: JsonValue<PeerId> = fromText(PEER_ID_SCHEMA, () => '', parsePeerId, jsonString)

export const multiaddr: JsonValue<Multiaddr> = fromText(
  MULTIADDR_SCHEMA,
  required('the address'),
  parseMultiaddr,
  jsonString,
)

export const time: JsonValue<Time> = fromText<Time>(
  TIME_SCHEMA,
  () => null,
  parseTime,
  value => `"${formatTime(value)}"`,
)

/** A value that is a name in JSON. */
export function named<T>(
  names: readonly string[],
  zero: T,
  parse: (name: string) => T,
  text: (value: T) => string,
): JsonValue<T> {
  return fromText(
    { type: 'string', enum: names },
    () => zero,
    parse,
    value => `"${text(value)}"`,
  )
}

export const boolean: JsonValue<boolean> = {
  schema: { type: 'boolean' },
  write: String,
  read(value) {
    if (value === undefined || value === null) return false
    if (typeof value !== 'boolean') throw expected('true or false', value)
    return value
  },
}

export const float: JsonValue<number> = {
  schema: { type: 'number' },
  write: String,
  read(value) {
    if (value === undefined || value === null) return 0
    // 1e400 is valid JSON, and more than a number can be.
    if (typeof value !== 'number' || !Number.isFinite(value)) throw expected('a number', value)
    return value
  },
}

export const integer: JsonValue<number> = {
  schema: { type: 'integer' },
  write: String,
  read(value) {
    if (value === undefined || value === null) return 0
    if (!Number.isSafeInteger(value)) throw expected('an integer', value)
    return value as number
  },
}

/** A 64-bit integer of any size; see `parseJson` for why large ones arrive as strings. */
function wideInteger(schema: JsonSchema, fits: (value: bigint) => boolean): JsonValue<bigint> {
  return {
    schema: { type: 'integer', ...schema },
    write: String,
    read(value) {
      if (value === undefined || value === null) return 0n
      const wide =
        typeof value === 'string' && /^-?\d+$/.test(value)
          ? BigInt(value)
          : Number.isSafeInteger(value)
            ? BigInt(value as number)
            : undefined
      if (wide === undefined) throw expected('an integer', value)
      if (!fits(wide)) throw new FieldError(`${wide} is out of range`)
      return wide
    },
  }
}

export const int64 = wideInteger({ format: 'int64' }, value => BigInt.asIntN(64, value) === value)
export const uint64 = wideInteger(
  { format: 'uint64', minimum: 0 },
  value => BigInt.asUintN(64, value) === value,
)

/** @param empty what an empty list is written as. */
export function list<T>(item: JsonValue<T>, empty: '[]' | 'null' = '[]'): JsonValue<readonly T[]> {
  const schema: JsonSchema = { type: 'array', items: item.schema }
  return {
    schema: empty === 'null' ? orNull(schema) : schema,
    write: items => (items.length === 0 ? empty : `[${items.map(each => item.write(each)).join(',')}]`),
    read(value) {
      if (value === undefined || value === null) return []
      if (!Array.isArray(value)) throw expected('a list', value)
      return value.map((each, index) => {
        try {
          // Inside a list there is no "missing": null is a value, and a wrong one.
          if (each === null) throw expected('an element', each)
          return item.read(each)
        } catch (error) {
          throw within(String(index), error)
        }
      })
    },
  }
}

export function nullable<T>(value: JsonValue<T>): JsonValue<T | null> {
  return {
    schema: orNull(value.schema),
    write: item => (item === null ? 'null' : value.write(item)),
    read: json => (json === undefined || json === null ? null : value.read(json)),
  }
}

/** An object whose members are JSON as they stand. */
export const object: JsonValue<Readonly<Record<string, unknown>>> = {
  schema: { type: 'object' },
  write: JSON.stringify,
  read: asObject,
}

/** An object with any keys, written in Go's order. */
export function record<T>(
  item: JsonValue<T>,
  empty: '{}' | 'null' = '{}',
): JsonValue<Readonly<Record<string, T>>> {
  const schema: JsonSchema = { type: 'object', additionalProperties: item.schema }
  return {
    schema: empty === 'null' ? orNull(schema) : schema,
    write(values) {
      const keys = sortedKeys(values)
      if (keys.length === 0) return empty
      return `{${keys.map(key => `${jsonString(key)}:${item.write(values[key] as T)}`).join(',')}}`
    },
    read(value) {
      if (value === undefined || value === null) return {}
      const entries = Object.entries(asObject(value)).map(([key, each]) => {
        try {
          return [key, item.read(each)] as const
        } catch (error) {
          throw within(key, error)
        }
      })
      // `fromEntries` makes an own property of any key, `__proto__` too.
      return Object.fromEntries(entries)
    },
  }
}

export interface Field<V, T> {
  readonly name: string
  readonly value: JsonValue<V>
  /** What it means, for the schema, where the name does not say it. */
  readonly about?: string
  /** When true the field is left out. */
  readonly omit?: (value: V) => boolean
  /** When true the field is `null`. */
  readonly isNull?: (value: V, owner: T) => boolean
}

/** A field that need not be there. */
export function optional<V, T>(name: string, value: JsonValue<V>, about: string): Field<V | undefined, T> {
  return {
    name,
    about,
    omit: item => item === undefined,
    value: {
      schema: value.schema,
      write: item => (item === undefined ? 'null' : value.write(item)),
      read: json => (json === undefined || json === null ? undefined : value.read(json)),
    },
  }
}

/** The fields of `T`, in the order in which they are written. */
export type Fields<T> = { readonly [K in keyof T]-?: Field<T[K], T> }

/** A Go struct, whose schema has this title. Unknown fields are ignored. */
export function struct<T extends object>(title: string, fields: Fields<T>): JsonValue<T> {
  const list = Object.entries(fields) as [keyof T & string, Field<unknown, T>][]
  return {
    schema: shared(title, structSchema(list.map(([, field]) => field))),
    write(owner) {
      const parts: string[] = []
      for (const [key, { name, value, omit, isNull }] of list) {
        const item = owner[key]
        if (omit?.(item) === true) continue
        parts.push(`"${name}":${isNull?.(item, owner) === true ? 'null' : value.write(item)}`)
      }
      return `{${parts.join(',')}}`
    },
    read(json) {
      const object = asObject(json)
      const out: Partial<Record<keyof T, unknown>> = {}
      for (const [key, { name, value }] of list) {
        try {
          const item = value.read(Object.hasOwn(object, name) ? object[name] : undefined)
          if (item !== undefined) out[key] = item
        } catch (error) {
          throw within(name, error)
        }
      }
      return out as T
    },
  }
}

function structSchema(fields: readonly Field<unknown, never>[]): JsonSchema {
  return {
    type: 'object',
    required: fields.filter(({ omit }) => omit === undefined).map(({ name }) => name),
    properties: Object.fromEntries(
      fields.map(({ name, value, about, isNull }) => [
        name,
        describe(isNull === undefined ? value.schema : orNull(value.schema), about),
      ]),
    ),
  }
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw expected('an object', value)
  return value as Readonly<Record<string, unknown>>
}

/** For `omit` and `isNull` of a field: as Go's `omitempty`. */
export const isEmpty = (value: string | readonly unknown[]): boolean => value.length === 0
