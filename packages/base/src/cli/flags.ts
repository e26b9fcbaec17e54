/** Flags as the Go tools have them: `-x` and `--x` are the same for any length, values follow after a space or `=`. */
import { formatDurationNs, parseDurationNs } from '../duration.ts'

/** The key of `--help` among the values; no flag of a program has it. */
const HELP = '--help'

/** A number that does not fit. */
class OutOfRange extends Error {}

/** The command line is wrong; the message is what Go's `flag` package says. */
export class UsageError extends Error {}

export interface Flag<T> {
  /** The long name first. */
  readonly names: readonly string[]
  readonly usage: string
  /** False for a boolean, which stands alone. */
  readonly takesValue: boolean
  readonly initial: T
  /** As help shows it; empty for none. */
  readonly defaultText: string
  /** Stands for the value in help, unless that is `value`. */
  readonly placeholder?: string
  /** The values there are, for completion; others are for `read` to refuse. */
  readonly choices?: readonly string[]
  /** Takes several of the choices, comma-separated. */
  readonly list?: boolean
  /** Taken from here when the flag is not given. */
  readonly env?: string
  /** @param before the value so far. @throws Error when `text` is not one. */
  read(text: string, before: T): T
}

export type Flags = Readonly<Record<string, Flag<unknown>>>

export type Values<F extends Flags> = {
  readonly [Name in keyof F]: F[Name] extends Flag<infer T> ? T : never
}

export interface Parsed<F extends Flags> {
  readonly values: Values<F>
  /** Flags that were on the command line. */
  readonly given: ReadonlySet<string>
  readonly args: readonly string[]
  /** `--help` was there. */
  readonly help: boolean
}

export type Environment = Readonly<Record<string, string | undefined>>

type Extra = Pick<Flag<string>, 'env' | 'placeholder' | 'choices' | 'list'>

/** @param names comma-separated, the long one first; the same for the other kinds of flags. */
export function boolean(names: string, usage: string): Flag<boolean> {
  return { ...base(names, usage), takesValue: false, initial: false, defaultText: '', read: parseBoolean }
}

export function text(names: string, usage: string, initial = '', extra: Extra = {}): Flag<string> {
  const defaultText = initial === '' ? '' : JSON.stringify(initial)
  return { ...base(names, usage), ...extra, takesValue: true, initial, defaultText, read: value => value }
}

export function integer(names: string, usage: string, extra: Extra = {}): Flag<number> {
  return {
    ...base(names, usage),
    ...extra,
    takesValue: true,
    initial: 0,
    defaultText: '0',
    read: parseInteger,
  }
}

/** Nanoseconds, written as Go does (`1m30s`). */
export function duration(names: string, usage: string): Flag<bigint> {
  const defaultText = formatDurationNs(0n)
  return { ...base(names, usage), takesValue: true, initial: 0n, defaultText, read: parseDurationNs }
}

/** May be given several times. */
export function texts(names: string, usage: string): Flag<readonly string[]> {
  return {
    ...base(names, usage),
    takesValue: true,
    initial: [],
    defaultText: '',
    read: (value, before) => [...before, value],
  }
}

export const HELP_FLAG = boolean('help, h', 'show help')
export const VERSION_FLAG = boolean('version, v', 'print the version')

function base(names: string, usage: string) {
  return { names: names.split(',').map(name => name.trim()), usage }
}

function parseBoolean(value: string): boolean {
  if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(value)) return true
  if (['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(value)) return false
  throw new Error('parse error')
}

/** As Go reads integers: a leading `0x`, `0b`, `0o` or `0` tells the base. */
function parseInteger(value: string): number {
  const found = /^([+-]?)(0[xX][\da-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9]\d*)$/.exec(value)
  const [, sign, digits = ''] = found ?? []
  const number = Number(digits.replace(/^0(?=\d)/, '0o'))
  if (found === null) throw new Error('parse error')
  if (!Number.isSafeInteger(number)) throw new OutOfRange()
  return sign === '-' && number !== 0 ? -number : number
}

/**
 * `--help` is always known.
 *
 * @param where `anywhere`: flags may stand between and after the arguments, up to `--`; `first`: the first argument ends them.
 * @throws UsageError
 */
export function parseFlags<F extends Flags>(
  flags: F,
  words: readonly string[],
  where: 'anywhere' | 'first',
  env: Environment,
): Parsed<F> {
  const all: readonly (readonly [string, Flag<unknown>])[] = [...Object.entries(flags), [HELP, HELP_FLAG]]
  const values = new Map<string, unknown>(all.map(([key, flag]) => [key, initialOf(flag, env)]))
  const given = new Set<string>()
  const args: string[] = []
  let i = 0
  while (i < words.length) {
    const word = words[i++] as string
    if (word === '--') break
    if (!word.startsWith('-') || word === '-') {
      args.push(word)
      if (where === 'first') break
      continue
    }
    const { name, value } = splitFlag(word)
    const found = all.find(([, flag]) => flag.names.includes(name))
    if (found === undefined) throw new UsageError(`flag provided but not defined: -${name}`)
    const [key, flag] = found
    const taken = value ?? (flag.takesValue ? words[i++] : 'true')
    if (taken === undefined) throw new UsageError(`flag needs an argument: -${name}`)
    const before = given.has(key) ? values.get(key) : flag.initial
    values.set(key, readValue(flag, name, taken, before))
    given.add(key)
  }
  const help = values.get(HELP) === true
  values.delete(HELP)
  given.delete(HELP)
  return {
    // Each value was read by its own flag, which gives the type.
    values: Object.fromEntries(values) as Values<F>,
    given,
    args: [...args, ...words.slice(i)],
    help,
  }
}

function splitFlag(word: string): { name: string; value: string | undefined } {
  const body = word.replace(/^--?/, '')
  if (body === '' || body.startsWith('-') || body.startsWith('=')) {
    throw new UsageError(`bad flag syntax: ${word}`)
  }
  const equals = body.indexOf('=')
  if (equals < 0) return { name: body, value: undefined }
  return { name: body.slice(0, equals), value: body.slice(equals + 1) }
}

function readValue(flag: Flag<unknown>, name: string, value: string, before: unknown): unknown {
  try {
    return flag.read(value, before)
  } catch (cause) {
    const [kind, to] = flag.takesValue ? ['value', 'flag '] : ['boolean value', '']
    const why = cause instanceof OutOfRange ? 'value out of range' : 'parse error'
    const message = `invalid ${kind} ${JSON.stringify(value)} for ${to}-${name}: ${why}`
    throw new UsageError(message, { cause })
  }
}

function initialOf(flag: Flag<unknown>, env: Environment): unknown {
  const value = flag.env === undefined ? undefined : env[flag.env]
  if (value === undefined || value === '') return flag.initial
  return readValue(flag, flag.names[0] ?? '', value, flag.initial)
}
