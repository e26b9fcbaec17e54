/**
 * Codecs of Go types, built from small ones. What they share with ugorji: an absent key and nil mean the zero value, unknown keys
 * are passed over, structs may come as maps or as lists of their fields in order (wire.md 5.2).
 */
import { errorMessage } from '@ipfs-cluster/base'
import { MsgpackError } from './msgpack-error.ts'
import { decodeError, MsgpackReader } from './msgpack-reader.ts'
import { MsgpackWriter } from './msgpack-writer.ts'
import type { Codec } from './types.ts'

/** Go's `struct{}`: no argument, no result. */
export type Empty = Readonly<Record<never, never>>

export const EMPTY: Empty = Object.freeze({})

/** How a value is written and read when it is not nil. */
interface Form<T> {
  encode(writer: MsgpackWriter, value: T): void
  decode(reader: MsgpackReader): T
}

/** A type whose zero value is `zero` itself, told by identity. */
function scalar<T>(zero: T, form: Form<T>): Codec<T> {
  return {
    zero,
    isZero: value => value === zero,
    encode: form.encode,
    decode: reader => (reader.tryNil() ? zero : form.decode(reader)),
  }
}

export const string: Codec<string> = scalar('', {
  encode: (writer, value) => writer.string(value),
  decode: reader => reader.string(),
})

export const bool: Codec<boolean> = scalar(false, {
  encode: (writer, value) => writer.bool(value),
  decode: reader => reader.bool(),
})

/** Go's signed kinds where a number is exact enough. */
export const int: Codec<number> = scalar(0, {
  encode: (writer, value) => writer.int(value),
  decode: reader => reader.int(),
})

/** Go's signed kinds that need all 64 bits, such as nanoseconds. */
export const int64: Codec<bigint> = scalar(0n, {
  encode: (writer, value) => writer.int(value),
  decode: reader => reader.int64(),
})

/** Go's unsigned kinds where a number is exact enough. */
export const uint: Codec<number> = scalar(0, {
  encode: (writer, value) => writer.uint(value),
  decode: reader => reader.uint(),
})

/** Go's unsigned kinds that need all 64 bits, such as sizes. */
export const uint64: Codec<bigint> = scalar(0n, {
  encode: (writer, value) => writer.uint(value),
  decode: reader => reader.uint64(),
})

export const float: Codec<number> = scalar(0, {
  encode: (writer, value) => writer.float(value),
  decode: reader => reader.float(),
})

/** Unix nanoseconds; `null` is Go's zero time. */
export const time: Codec<bigint | null> = scalar(null, {
  encode: (writer, value: bigint | null) => writer.time(value),
  decode: reader => reader.time(),
})

/** `[]byte`. */
export const bytes: Codec<Uint8Array> = {
  ...scalar<Uint8Array>(new Uint8Array(0), {
    encode: (writer, value) => writer.bytes(value),
    decode: reader => reader.bytes(),
  }),
  isZero: value => value.length === 0,
}

/** As `bytes`, but what is read is a view of what has arrived: for large values that are soon passed on. */
export const bytesView: Codec<Uint8Array> = { ...bytes, decode: reader => reader.raw() }

export const emptyStruct: Codec<Empty> = {
  zero: EMPTY,
  isZero: () => true,
  encode: writer => writer.mapHeader(0),
  decode(reader) {
    const kind = reader.kind()
    if (kind === 'nil' || kind === 'map' || kind === 'list') reader.skip()
    // Anything else is refused, by reading what it is not.
    else reader.mapHeader()
    return EMPTY
  },
}

/**
 * A type with a binary marshaler in Go: raw bytes. Its zero value, where there is one, is written as nil and read from nil or no bytes.
 * `read` gets a view that it must not keep; neither it nor `write` ever see the zero value.
 */
export function binary<T>(form: {
  read(bytes: Uint8Array): T
  write(value: T): Uint8Array
  readonly zero?: T
}): Codec<T> {
  const { zero } = form
  return {
    ...(zero === undefined ? {} : { zero }),
    isZero: value => zero !== undefined && value === zero,
    encode(writer, value) {
      if (zero !== undefined && value === zero) writer.nil()
      else writer.bytes(form.write(value))
    },
    decode(reader) {
      if (zero !== undefined && reader.tryNil()) return zero
      const start = reader.offset
      const raw = reader.raw()
      if (zero !== undefined && raw.length === 0) return zero
      return translated(start, () => form.read(raw))
    },
  }
}

/** Another view of a type: names for numbers, say. The zero value is that of `inner`, read. */
export function convert<A, B>(inner: Codec<A>, form: { read(value: A): B; write(value: B): A }): Codec<B> {
  return {
    ...(inner.zero === undefined ? {} : { zero: form.read(inner.zero) }),
    isZero: value => inner.isZero(form.write(value)),
    encode: (writer, value) => inner.encode(writer, form.write(value)),
    decode(reader) {
      const start = reader.offset
      const value = inner.decode(reader)
      return translated(start, () => form.read(value))
    },
  }
}

/** A pointer, or a type whose zero value is nil: `null` here. */
export function nullable<T>(inner: Codec<T>): Codec<T | null> {
  return {
    zero: null,
    isZero: value => value === null,
    encode: (writer, value) => (value === null ? writer.nil() : inner.encode(writer, value)),
    decode: reader => (reader.tryNil() ? null : inner.decode(reader)),
  }
}

/** A slice; nil and empty are both `[]`. */
export function list<T>(item: Codec<T>): Codec<readonly T[]> {
  return {
    zero: Object.freeze([]),
    isZero: items => items.length === 0,
    encode(writer, items) {
      writer.listHeader(items.length)
      for (const value of items) item.encode(writer, value)
    },
    decode(reader) {
      if (reader.tryNil()) return []
      const length = reader.listHeader()
      const items: T[] = []
      for (let i = 0; i < length; i++) items.push(item.decode(reader))
      return items
    },
  }
}

/** A map with text keys, written in key order so that equal maps give equal bytes; nil and empty are both `{}`. */
export function map<T>(value: Codec<T>): Codec<Readonly<Record<string, T>>> {
  return {
    zero: Object.freeze({}),
    isZero: entries => Object.keys(entries).length === 0,
    encode(writer, entries) {
      const keys = Object.keys(entries).sort()
      writer.mapHeader(keys.length)
      for (const key of keys) {
        writer.string(key)
        value.encode(writer, entries[key] as T)
      }
    },
    decode(reader) {
      if (reader.tryNil()) return {}
      const size = reader.mapHeader()
      const entries: [string, T][] = []
      for (let i = 0; i < size; i++) entries.push([reader.string(), value.decode(reader)])
      // Unlike assignment, this makes own properties of every key, `__proto__` too.
      return Object.fromEntries(entries)
    },
  }
}

/** A field of a struct: its key on the wire, and whether Go's tag says `omitempty`. */
export interface Field<T> {
  readonly key: string
  readonly codec: Codec<T>
  readonly omitEmpty: boolean
  /** Absent from the object, too, when it is not on the wire. */
  readonly optional?: boolean
}

/** A field that is always written. */
export function field<T>(key: string, codec: Codec<T>): Field<T> {
  return { key, codec, omitEmpty: false }
}

/** A field that is left out when it has its zero value. */
export function omitEmpty<T>(key: string, codec: Codec<T>): Field<T> {
  return { key, codec, omitEmpty: true }
}

/** A field that may be missing from the object, and then is not written; for what Go does not have. */
export function optional<T>(key: string, codec: Codec<T>): Field<T | undefined> {
  const orUndefined: Codec<T | undefined> = {
    isZero: value => value === undefined,
    encode: (writer, value) => (value === undefined ? writer.nil() : codec.encode(writer, value)),
    decode: reader => (reader.tryNil() ? undefined : codec.decode(reader)),
  }
  return { key, codec: orUndefined, omitEmpty: true, optional: true }
}

/** The fields of a struct in Go's order of declaration; spread one into another where Go inlines a struct. */
export type Fields<T> = { readonly [K in keyof T]-?: Field<T[K]> }

interface Slot extends Field<unknown> {
  readonly name: string
  /** The key as it is written. */
  readonly head: Uint8Array
}

export function struct<T extends object>(fields: Fields<T>): Codec<T> {
  const slots = Object.entries<Field<unknown>>(fields).map(([name, field]): Slot => ({
    ...field,
    name,
    head: encodeObject(string, field.key),
  }))
  const byKey = new Map(slots.map((slot, index) => [slot.key, index]))
  const required = slots.filter(slot => slot.optional !== true)
  const template = Object.fromEntries(required.map(slot => [slot.name, slot.codec.zero]))
  const hasZero = required.every(slot => slot.codec.zero !== undefined)
  const isPresent = (slot: Slot, value: T) =>
    !slot.omitEmpty || !slot.codec.isZero(value[slot.name as keyof T])

  const readMap = (reader: MsgpackReader, out: Record<string, unknown>) => {
    const size = reader.mapHeader()
    let expected = 0
    for (let i = 0; i < size; i++) {
      const index = readKey(reader, slots, expected, byKey)
      const slot = slots[index]
      if (slot === undefined) {
        reader.skip()
        continue
      }
      take(slot, reader, out)
      expected = index + 1
    }
  }
  const readList = (reader: MsgpackReader, out: Record<string, unknown>) => {
    const length = reader.listHeader()
    for (let i = 0; i < length; i++) {
      const slot = slots[i]
      if (slot === undefined) reader.skip()
      else take(slot, reader, out)
    }
  }
  return {
    ...(hasZero ? { zero: Object.freeze(template) as T } : {}),
    isZero: value => slots.every(slot => slot.codec.isZero(value[slot.name as keyof T])),
    encode(writer, value) {
      let size = 0
      for (const slot of slots) if (isPresent(slot, value)) size++
      writer.mapHeader(size)
      for (const slot of slots) {
        if (!isPresent(slot, value)) continue
        writer.encoded(slot.head)
        slot.codec.encode(writer, value[slot.name as keyof T])
      }
    },
    decode(reader) {
      const start = reader.offset
      const out: Record<string, unknown> = { ...template }
      if (reader.kind() === 'list') readList(reader, out)
      else if (!reader.tryNil()) readMap(reader, out)
      if (!hasZero) requireAll(required, out, start)
      return out as T
    },
  }
}

function take(slot: Slot, reader: MsgpackReader, out: Record<string, unknown>): void {
  const value = slot.codec.decode(reader)
  if (value !== undefined) out[slot.name] = value
}

/**
 * Reads a key and finds its slot; −1 when it is unknown. Go writes keys in order, so the slots after the last one are compared as
 * bytes first.
 */
function readKey(
  reader: MsgpackReader,
  slots: readonly Slot[],
  expected: number,
  byKey: ReadonlyMap<string, number>,
): number {
  for (let index = expected; index < slots.length; index++) {
    if (reader.tryBytes((slots[index] as Slot).head)) return index
  }
  return byKey.get(reader.string()) ?? -1
}

function requireAll(slots: readonly Slot[], out: Record<string, unknown>, start: number): void {
  const missing = slots.find(slot => out[slot.name] === undefined)
  if (missing === undefined) return
  throw new MsgpackError(decodeError(start, `key ${missing.key} is missing`), {
    code: 'MSGPACK_BAD_VALUE',
    offset: start,
  })
}

/** What the caller's functions refuse becomes a decode error at the object's place. */
function translated<T>(start: number, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw new MsgpackError(
      decodeError(start, errorMessage(cause)),
      { code: 'MSGPACK_BAD_VALUE', offset: start },
      { cause },
    )
  }
}

/** The bytes of one object. @throws MsgpackError */
export function encodeObject<T>(codec: Codec<T>, value: T): Uint8Array {
  const writer = new MsgpackWriter()
  codec.encode(writer, value)
  return writer.take()
}

/** Reads exactly one object. @throws MsgpackError, also when anything follows it. */
export function decodeObject<T>(codec: Codec<T>, bytes: Uint8Array): T {
  const reader = new MsgpackReader(bytes)
  const value = codec.decode(reader)
  if (reader.remaining === 0) return value
  throw new MsgpackError(decodeError(reader.offset, `${reader.remaining} bytes too many`), {
    code: 'MSGPACK_BAD_VALUE',
    offset: reader.offset,
  })
}
