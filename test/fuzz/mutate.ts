/** Makes new inputs from old ones: by bytes, by text, and by the structure of the format. Pure: all chance comes from the `Random`. */
import { concatBytes, type Random, utf8, utf8Text } from '@ipfs-cluster/base'
import { mutateJson } from './mutate-json.ts'
import type { Format } from './target.ts'
import { msgpack, protobuf, type Tree, type TreeFormat, varintBytes } from './trees.ts'

export interface MutationContext {
  readonly random: Random
  readonly format: Format
  readonly tokens: readonly Uint8Array[]
  /** Another input. */
  readonly other: () => Uint8Array
  readonly maxBytes: number
  /** Bytes to which growing mutations go now: mostly small, so that most inputs are quick. */
  readonly growTo: number
}

type Mutation = (input: Uint8Array, context: MutationContext) => Uint8Array

const INTERESTING_BYTES = [
  0, 1, 2, 0x0a, 0x12, 0x20, 0x2f, 0x7f, 0x80, 0x81, 0x90, 0xa0, 0xc0, 0xc1, 0xd9, 0xdf, 0xfe, 0xff,
]
const INTERESTING_NUMBERS = [
  0n, 1n, 2n, 127n, 128n, 255n, 256n, 32767n, 65535n, 65536n, 2n ** 20n, 2n ** 22n, 2n ** 24n,
  2n ** 28n, 2n ** 31n - 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 35n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n,
] // prettier-ignore

/** Announced lengths and counts without anything behind them. */
const HUGE_LENGTHS = [
  'c6ffffffff', 'c67fffffff', 'c680000000', 'db80000000', 'dbffffffff', 'dd80000000', 'ddffffffff', 'df80000000', 'dfffffffff', 'c9ffffffff05',
  'ffffffff0f', 'ffffffff07', '8080808008', 'ffffffffffffffffff01', 'ffffffffffffffff7f', '80808004', '9b7fffffffffffffff', '5b7fffffffffffffff', '9a80000000', 'bbffffffffffffffff',
].map(hex => Uint8Array.from(Buffer.from(hex, 'hex'))) // prettier-ignore

function pick<T>(items: readonly T[], random: Random): T {
  return items[random.int(items.length)] as T
}

/** A place and a length inside `length` bytes, mostly short. */
function span(length: number, random: Random): readonly [start: number, end: number] {
  const start = random.int(length + 1)
  const most = random.int(4) === 0 ? length : Math.min(length, 16)
  return [start, Math.min(length, start + random.int(most + 1))]
}

function replaced(input: Uint8Array, start: number, end: number, by: Uint8Array): Uint8Array {
  return concatBytes([input.subarray(0, start), by, input.subarray(Math.max(start, end))])
}

function numberBytes(random: Random): Uint8Array {
  const value = pick(INTERESTING_NUMBERS, random) + BigInt(random.int(3) - 1)
  const number = BigInt.asUintN(64, value)
  if (random.int(2) === 0) return varintBytes(number)
  const out = new Uint8Array(8)
  const width = pick([1, 2, 4, 8], random)
  const little = random.int(2) === 0
  new DataView(out.buffer).setBigUint64(0, number, little)
  return little ? out.subarray(0, width) : out.subarray(8 - width)
}

/** `unit` again and again, up to the size to which inputs grow now. */
function repeated(unit: Uint8Array, context: MutationContext): Uint8Array {
  if (unit.length === 0) return unit
  const times = Math.max(2, context.random.int(Math.ceil(context.growTo / unit.length) + 1))
  const out = new Uint8Array(Math.min(context.maxBytes, unit.length * times))
  for (let at = 0; at < out.length; at += unit.length) out.set(unit.subarray(0, out.length - at), at)
  return out
}

const BYTES: readonly Mutation[] = [
  (input, { random }) => {
    const out = input.slice()
    const at = random.int(Math.max(1, out.length))
    if (at < out.length) out[at] = (out[at] as number) ^ (1 << random.int(8))
    return out
  },
  (input, { random }) => {
    const out = input.slice()
    if (out.length > 0) out[random.int(out.length)] = pick(INTERESTING_BYTES, random)
    return out
  },
  (input, { random }) => {
    const out = input.slice()
    if (out.length > 0) out[random.int(out.length)] = random.int(256)
    return out
  },
  (input, { random }) => {
    const number = numberBytes(random)
    const at = random.int(input.length + 1)
    return replaced(input, at, at + (random.int(2) === 0 ? number.length : random.int(3)), number)
  },
  (input, { random }) => {
    const at = random.int(input.length + 1)
    return replaced(input, at, at + random.int(6), pick(HUGE_LENGTHS, random))
  },
  (input, { random }) => input.slice(0, random.int(input.length + 1)),
  (input, { random }) => input.slice(random.int(Math.min(input.length, 64) + 1)),
  (input, { random }) => replaced(input, ...span(input.length, random), new Uint8Array(0)),
  (input, { random }) => {
    const [start, end] = span(input.length, random)
    const at = random.int(input.length + 1)
    return replaced(input, at, at, input.subarray(start, end))
  },
  (input, { random }) => {
    const at = random.int(input.length + 1)
    return replaced(input, at, at, random.bytes(1 + random.int(16)))
  },
  (input, { random, tokens }) => {
    const at = random.int(input.length + 1)
    const token = tokens.length === 0 ? random.bytes(2) : pick(tokens, random)
    return replaced(input, at, at + (random.int(2) === 0 ? 0 : token.length), token)
  },
  (input, { random, other }) => {
    const from = other()
    const [start, end] = span(from.length, random)
    return replaced(input, ...span(input.length, random), from.subarray(start, end))
  },
  (input, { random, other }) => {
    const from = other()
    return concatBytes([
      input.subarray(0, random.int(input.length + 1)),
      from.subarray(random.int(from.length + 1)),
    ])
  },
  (input, context) => {
    const { random } = context
    const start = random.int(input.length + 1)
    const unit = input.subarray(start, start + 1 + random.int(random.int(2) === 0 ? 4 : 40))
    return replaced(input, start, start, repeated(unit, context))
  },
  (input, context) => {
    const at = context.random.int(input.length + 1)
    return replaced(input, at, at, repeated(context.random.bytes(1 + context.random.int(3)), context))
  },
]

/** Text: what has a meaning to parsers of paths, queries, addresses, times, numbers and JSON. */
const TEXTS = [
  '/', '//', '/..', '/.', '.', ',', ';', ':', '=', '&', '?', '#', '%', '%00', '%2F', '%ff', '%E0%A4%A', '+', '-', '-0', '\\', '"', "'", '\\"', '\\u0000', '\\ud800', '\u0000', '\ud800',
  '\r\n', '\n', '\t', ' ', '\ufeff', '\u2028', '�', 'é', '😀', '__proto__', 'constructor', 'toString', 'null', 'true', 'false', '{}', '[]', '{', '[', ']', '}', '0', '1e999', '-1', '9007199254740993',
  '18446744073709551615', '18446744073709551616', '99999999999999999999999999999999', '0x10', '1.5', '.5', 'NaN', 'Infinity', '0001-01-01T00:00:00Z', '9999-12-31T23:59:59.999999999Z', '+24:00', '1h', '1.1111111111111ns',
  'Qm', '12D3Koo', '1', 'z', 'b', 'f', 'm', 'u', 'k', '/ip4/', '/p2p/', '/tcp/', '/unix/', '/dns4/', '/http-path/', '/tls/sni/', '/memory/1',
].map(utf8) // prettier-ignore

const insertText: Mutation = (input, { random }) => {
  const at = random.int(input.length + 1)
  return replaced(input, at, at + random.int(3), pick(TEXTS, random))
}

const repeatText: Mutation = (input, context) => {
  const { random } = context
  const at = random.int(input.length + 1)
  return replaced(input, at, at + random.int(3), repeated(pick(TEXTS, random), context))
}

interface Place {
  readonly siblings: Tree[]
  readonly index: number
}

/** Places to choose from; those of large trees suffice that come first. */
const MAX_PLACES = 2_000

function places(tree: Tree, out: Place[] = []): Place[] {
  const siblings = tree.children ?? []
  for (const [index, child] of siblings.entries()) {
    if (out.length >= MAX_PLACES) break
    out.push({ siblings, index })
    places(child, out)
  }
  return out
}

/** About how many bytes a tree takes; no further than `limit`. */
function weigh({ bytes, children }: Tree, limit: number): number {
  if (children === undefined) return bytes.length + 1
  let weight = 1
  for (const child of children) {
    weight += weigh(child, limit - weight)
    if (weight > limit) break
  }
  return weight
}

/** A new payload for a text or message: a few bytes, an interesting number, or a lot of filling. */
function filling(context: MutationContext): Uint8Array {
  const { random } = context
  switch (random.int(5)) {
    case 0:
      return random.bytes(random.int(40))
    case 1:
      return pick(TEXTS, random)
    case 2:
      return context.tokens.length > 0 ? pick(context.tokens, random) : numberBytes(random)
    case 3:
      return repeated(pick(TEXTS, random), context)
    default:
      return repeated(random.bytes(1 + random.int(4)), context)
  }
}

type TreeMutation = (place: Place, context: MutationContext, format: TreeFormat) => void

const TREES: readonly TreeMutation[] = [
  ({ siblings, index }) => void siblings.splice(index, 1),
  ({ siblings, index }, { random }) => {
    siblings.splice(random.int(siblings.length + 1), 0, siblings[index] as Tree)
  },
  ({ siblings, index }, context) => {
    const node = siblings[index] as Tree
    const times = 1 + context.random.int(Math.ceil(context.growTo / weigh(node, context.growTo)))
    siblings.splice(index, 0, ...Array.from({ length: Math.min(times, 50_000) }, () => node))
  },
  ({ siblings, index }, { random }) => {
    const at = random.int(siblings.length)
    ;[siblings[index], siblings[at]] = [siblings[at] as Tree, siblings[index] as Tree]
  },
  ({ siblings, index }, context) => {
    siblings[index] = { ...(siblings[index] as Tree), bytes: filling(context), children: undefined }
  },
  ({ siblings, index }, context) => {
    const node = siblings[index] as Tree
    const bytes = pick(BYTES, context.random)(node.bytes, context)
    siblings[index] = { ...node, bytes, children: undefined }
  },
  ({ siblings, index }, { random, other }, format) => {
    const from = format.read(other())
    const all = from === undefined ? [] : places(from)
    if (all.length === 0) return
    const { siblings: theirs, index: at } = pick(all, random)
    siblings.splice(index, random.int(2), theirs[at] as Tree)
  },
  ({ siblings, index }, { random }) => {
    const node = siblings[index] as Tree
    siblings[index] = {
      ...node,
      head: pick([8, 10, 16, 18, 26, 34, 42, 0x80, 0x90, 0xa0, node.head ^ 8], random),
    }
  },
  ({ siblings, index }, context) => {
    // A container inside itself, many times.
    let node = siblings[index] as Tree
    const depth = context.random.int(Math.min(2_000, Math.ceil(context.growTo / 4)))
    const head = node.children === undefined ? pick([10, 18, 0x90], context.random) : node.head
    for (let i = 0; i < depth; i++) node = { head, bytes: node.bytes, children: [node] }
    siblings[index] = node
  },
]

function byTree(format: TreeFormat): Mutation {
  return (input, context) => {
    const tree = format.read(input)
    if (tree === undefined) return pick(BYTES, context.random)(input, context)
    const { random } = context
    let { growTo } = context
    for (let rounds = 1 + random.int(3); rounds > 0; rounds--) {
      const all = places(tree)
      if (all.length === 0) break
      pick(TREES, random)(pick(all, random), { ...context, growTo }, format)
      // One large change is enough: what grows inside what has grown has no bound.
      growTo = Math.min(growTo, 16)
    }
    if (random.int(6) > 0) return format.write(tree)
    const add = pick([-1, 1, 2, 127, 128, 65_536, 2 ** 22, 2 ** 31 - 1, 2 ** 31, 2 ** 32], random)
    return format.write(tree, { at: random.int(12), add })
  }
}

const byJson: Mutation = (input, context) => {
  try {
    return utf8(mutateJson(JSON.parse(utf8Text(input)), context))
  } catch {
    // Not JSON any more, or too deep for JSON.stringify: as any other text.
    return insertText(input, context)
  }
}

function times(count: number, mutation: Mutation): Mutation[] {
  return Array.from({ length: count }, () => mutation)
}

/** With the structure as often as without. */
const BY_FORMAT: Readonly<Record<Format, readonly Mutation[]>> = {
  bytes: BYTES,
  protobuf: [...BYTES, ...times(BYTES.length, byTree(protobuf))],
  msgpack: [...BYTES, ...times(BYTES.length, byTree(msgpack))],
  text: [...BYTES, ...times(BYTES.length, insertText), repeatText],
  json: [...BYTES, ...times(5, insertText), repeatText, ...times(2 * BYTES.length, byJson)],
}

/** A new input: `input` with a few changes, or, rarely, nothing but chance. */
export function mutate(input: Uint8Array, context: MutationContext): Uint8Array {
  const { random, maxBytes } = context
  if (random.int(200) === 0) return random.bytes(random.int(64))
  const mutations = BY_FORMAT[context.format]
  let out = input
  const rounds = random.int(2) === 0 ? 1 : 1 + random.int(5)
  for (let i = 0; i < rounds; i++) {
    const growTo = out.length > 2 * input.length + 1_000 ? 16 : context.growTo
    out = pick(mutations, random)(out, { ...context, growTo })
    if (out.length > maxBytes) out = out.slice(0, maxBytes)
  }
  return out.length > maxBytes ? out.slice(0, maxBytes) : out
}
