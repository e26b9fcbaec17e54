/** Changes JSON values in ways that stay JSON: other types, missing and unknown fields, deep nesting, large numbers, long texts. */
import type { Random } from '@ipfs-cluster/base'

interface Context {
  readonly random: Random
  readonly growTo: number
}

interface Place {
  readonly holder: Record<string, unknown> | unknown[]
  readonly key: string
}

const VALUES: readonly unknown[] = [
  null, true, false, 0, -0, 1, -1, 0.5, 1e21, -1e308, 2 ** 31, 2 ** 53 - 1, 2 ** 53, '', '0', 'x', '/', '\u0000', '\ud800', '__proto__', [], {}, [[]], [null], { a: 1 }, ['a', 1],
] // prettier-ignore

const KEYS = ['__proto__', 'constructor', '', 'a', 'toString', '0', 'length', '/', 'cid', 'name']

/** Written into the text in place of a number, as JSON.stringify would not. */
const WIDE = [
  '9223372036854775807',
  '-9223372036854775808',
  '18446744073709551615',
  '18446744073709551616',
  '1e400',
  '-0',
  '123456789012345678901234567890',
]
const HOLE = 424242424242

function pick<T>(items: readonly T[], random: Random): T {
  return items[random.int(items.length)] as T
}

/** Places to choose from; those of large documents suffice that come first. */
const MAX_PLACES = 2_000

function places(value: unknown, out: Place[] = []): Place[] {
  if (typeof value !== 'object' || value === null) return out
  const holder = value as Record<string, unknown>
  for (const key of Object.keys(holder)) {
    if (out.length >= MAX_PLACES) break
    out.push({ holder, key })
    places(holder[key], out)
  }
  return out
}

function nested(value: unknown, depth: number, inList: boolean): unknown {
  let out = value
  for (let i = 0; i < depth; i++) out = inList ? [out] : { a: out }
  return out
}

function changed(value: unknown, { random, growTo }: Context): unknown {
  switch (random.int(7)) {
    case 0:
      return pick(VALUES, random)
    case 1:
      return HOLE
    case 2:
      // Shallow enough for JSON.stringify, which recurses; deeper ones come from repeated brackets.
      return nested(value, random.int(Math.min(1_000, growTo)), random.int(2) === 0)
    case 3:
      return typeof value === 'string' ? value + value : [value, value]
    case 4:
      return typeof value === 'string' ? value.slice(random.int(value.length + 1)) : JSON.stringify(value)
    case 5:
      return pick(['1', '/', 'a', 'Q', '\\', '"', '9', 'é', '/ip4/1.2.3.4'], random).repeat(
        random.int(growTo),
      )
    default:
      return Array.from({ length: random.int(Math.ceil(growTo / weigh(value))) }, () => value)
  }
}

function weigh(value: unknown): number {
  return JSON.stringify(value)?.length ?? 1
}

export function mutateJson(value: unknown, context: Context): string {
  const { random } = context
  const root = { root: value }
  let growTo = context.growTo
  for (let rounds = 1 + random.int(3); rounds > 0; rounds--) {
    const all = places(root)
    const { holder, key } = pick(all.length > 1 && random.int(20) > 0 ? all.slice(1) : all, random)
    const fields = holder as Record<string, unknown>
    switch (random.int(5)) {
      case 0:
        if (Array.isArray(holder)) holder.splice(Number(key), 1)
        else if (holder !== (root as unknown)) delete fields[key]
        break
      case 1: {
        const name = random.int(2) === 0 ? pick(KEYS, random) : pick(all, random).key
        Object.defineProperty(fields, Array.isArray(holder) ? String(holder.length) : name, {
          value: changed(fields[key], { random, growTo }),
          enumerable: true,
          configurable: true,
          writable: true,
        })
        break
      }
      default:
        fields[key] = changed(fields[key], { random, growTo })
    }
    // One large change is enough: what is large inside what is large has no bound.
    growTo = Math.min(growTo, 8)
  }
  const text = JSON.stringify(root.root) ?? 'null'
  return text.replaceAll(String(HOLE), () => pick(WIDE, random))
}
