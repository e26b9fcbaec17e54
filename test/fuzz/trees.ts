/**
 * Inputs as trees, so that a mutation of one part leaves the lengths around it right and reaches what lies behind them: protobuf and
 * msgpack. Reading is lenient; `undefined` when the bytes are not of the format at all.
 */

/** A leaf is bytes; a branch writes what is around its children anew. */
export interface Tree {
  /** Protobuf: the tag. Msgpack: which kind of container or text. */
  head: number
  /** Of a leaf. */
  bytes: Uint8Array
  children: Tree[] | undefined
}

export interface TreeFormat {
  read(bytes: Uint8Array): Tree | undefined
  /** @param lie added to the length or count of one container, chosen by `lieAt`, in the order of writing. */
  write(tree: Tree, lie?: { readonly at: number; readonly add: number }): Uint8Array
}

const MAX_DEPTH = 24
const MAX_NODES = 4_000

class Output {
  readonly #parts: Uint8Array[] = []
  #number = 0
  readonly #lie: { readonly at: number; readonly add: number } | undefined

  constructor(lie?: { readonly at: number; readonly add: number }) {
    this.#lie = lie
  }

  push(...parts: Uint8Array[]): void {
    this.#parts.push(...parts)
  }

  length(value: number): number {
    const lies = this.#lie !== undefined && this.#number++ === this.#lie.at
    return lies ? Math.max(0, value + (this.#lie?.add ?? 0)) : value
  }

  finish(): Uint8Array {
    return Buffer.concat(this.#parts)
  }
}

export function varintBytes(value: number | bigint): Uint8Array {
  const out: number[] = []
  let rest = BigInt(value)
  for (; rest > 0x7fn; rest >>= 7n) out.push(Number(rest & 0x7fn) | 0x80)
  return Uint8Array.of(...out, Number(rest))
}

function readVarint(bytes: Uint8Array, start: number): readonly [value: number, next: number] | undefined {
  let value = 0
  for (let i = 0; i < 10; i++) {
    const byte = bytes[start + i]
    if (byte === undefined) return undefined
    value += (byte & 0x7f) * 2 ** (7 * i)
    if (byte < 0x80) return [value, start + i + 1]
  }
  return undefined
}

const ROOT = -1

export const protobuf: TreeFormat = {
  read(bytes) {
    const budget = { nodes: MAX_NODES }
    const children = readFields(bytes, 0, budget)
    return children === undefined ? undefined : { head: ROOT, bytes, children }
  },
  write(tree, lie) {
    const out = new Output(lie)
    out.push(writeFields(tree, out))
    return out.finish()
  },
}

function readFields(bytes: Uint8Array, depth: number, budget: { nodes: number }): Tree[] | undefined {
  const fields: Tree[] = []
  for (let at = 0; at < bytes.length;) {
    const tag = readVarint(bytes, at)
    if (tag === undefined || tag[0] < 8 || tag[0] > 0xffff_ffff || budget.nodes-- <= 0) return undefined
    const [head, start] = tag
    const wire = head % 8
    if (wire === 2) {
      const length = readVarint(bytes, start)
      if (length === undefined || length[1] + length[0] > bytes.length) return undefined
      const payload = bytes.subarray(length[1], length[1] + length[0])
      const inner =
        depth < MAX_DEPTH && payload.length > 1 ? readFields(payload, depth + 1, budget) : undefined
      fields.push({ head, bytes: payload, children: inner })
      at = length[1] + length[0]
      continue
    }
    const next =
      wire === 0 ? readVarint(bytes, start)?.[1] : wire === 1 ? start + 8 : wire === 5 ? start + 4 : undefined
    if (next === undefined || next > bytes.length) return undefined
    fields.push({ head, bytes: bytes.subarray(start, next), children: undefined })
    at = next
  }
  return fields
}

function writeFields(tree: Tree, out: Output): Uint8Array {
  const parts: Uint8Array[] = []
  for (const field of tree.children ?? []) {
    const payload = field.children === undefined ? field.bytes : writeFields(field, out)
    parts.push(varintBytes(field.head))
    if (field.head % 8 === 2) parts.push(varintBytes(out.length(payload.length)))
    parts.push(payload)
  }
  return Buffer.concat(parts)
}

const LIST = 0x90
const MAP = 0x80
const RAW = 0xa0
/** Numbers, nil and extensions: bytes with their head. */
const OTHER = 0

/** Several objects may follow each other, as in a request. */
export const msgpack: TreeFormat = {
  read(bytes) {
    const budget = { nodes: MAX_NODES }
    const children: Tree[] = []
    for (let at = 0; at < bytes.length;) {
      const found = readObject(bytes, at, 0, budget)
      if (found === undefined) return undefined
      children.push(found[0])
      at = found[1]
    }
    return { head: ROOT, bytes, children }
  },
  write(tree, lie) {
    const out = new Output(lie)
    for (const child of tree.children ?? []) writeObject(child, out)
    return out.finish()
  },
}

/** Bytes behind the head from c0 on, or minus the size of the length field. */
// prettier-ignore
const PAYLOADS = [0, 0, 0, 0, -1, -2, -4, -1, -2, -4, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17, -1, -2, -4, -2, -4, -2, -4]

function readObject(
  bytes: Uint8Array,
  at: number,
  depth: number,
  budget: { nodes: number },
): readonly [Tree, number] | undefined {
  const head = bytes[at]
  if (head === undefined || depth > MAX_DEPTH || budget.nodes-- <= 0) return undefined
  if (head <= 0x7f || head >= 0xe0) return leaf(bytes, at, at + 1)
  if (head <= 0x8f) return container(MAP, 2 * (head & 15), bytes, at + 1, depth, budget)
  if (head <= 0x9f) return container(LIST, head & 15, bytes, at + 1, depth, budget)
  if (head <= 0xbf) return text(bytes, at + 1, head & 31)
  const payload = PAYLOADS[head - 0xc0] as number
  if (payload >= 0) return leaf(bytes, at, at + 1 + payload)
  let length = 0
  const start = at + 1 - payload
  if (start > bytes.length) return undefined
  for (let i = at + 1; i < start; i++) length = length * 256 + (bytes[i] as number)
  if (head >= 0xde) return container(MAP, 2 * length, bytes, start, depth, budget)
  if (head >= 0xdc) return container(LIST, length, bytes, start, depth, budget)
  if (head >= 0xc7 && head <= 0xc9) return leaf(bytes, at, start + 1 + length)
  return text(bytes, start, length)
}

function leaf(bytes: Uint8Array, start: number, end: number): readonly [Tree, number] | undefined {
  return end > bytes.length
    ? undefined
    : [{ head: OTHER, bytes: bytes.subarray(start, end), children: undefined }, end]
}

function text(bytes: Uint8Array, start: number, length: number): readonly [Tree, number] | undefined {
  const end = start + length
  return end > bytes.length
    ? undefined
    : [{ head: RAW, bytes: bytes.subarray(start, end), children: undefined }, end]
}

// oxlint-disable-next-line max-params -- the state of one recursion
function container(
  head: number,
  count: number,
  bytes: Uint8Array,
  start: number,
  depth: number,
  budget: { nodes: number },
): readonly [Tree, number] | undefined {
  const children: Tree[] = []
  let at = start
  for (let i = 0; i < count; i++) {
    const found = readObject(bytes, at, depth + 1, budget)
    if (found === undefined) return undefined
    children.push(found[0])
    at = found[1]
  }
  return [{ head, bytes: bytes.subarray(start, at), children }, at]
}

function writeObject(tree: Tree, out: Output): void {
  if (tree.children !== undefined) {
    const isMap = tree.head === MAP
    const count = out.length(isMap ? Math.floor(tree.children.length / 2) : tree.children.length)
    if (count < 16) out.push(Uint8Array.of(tree.head + count))
    else if (count < 65_536) out.push(Uint8Array.of(isMap ? 0xde : 0xdc, count >> 8, count & 0xff))
    else out.push(Uint8Array.of(isMap ? 0xdf : 0xdd, ...uint32(count)))
    for (const child of tree.children) writeObject(child, out)
  } else if (tree.head === RAW) {
    const length = out.length(tree.bytes.length)
    if (length < 32) out.push(Uint8Array.of(RAW + length))
    else if (length < 65_536) out.push(Uint8Array.of(0xda, length >> 8, length & 0xff))
    else out.push(Uint8Array.of(0xdb, ...uint32(length)))
    out.push(tree.bytes)
  } else out.push(tree.bytes)
}

function uint32(value: number): readonly number[] {
  const bounded = Math.min(value, 0xffff_ffff)
  return [Math.floor(bounded / 2 ** 24), (bounded >> 16) & 0xff, (bounded >> 8) & 0xff, bounded & 0xff]
}
