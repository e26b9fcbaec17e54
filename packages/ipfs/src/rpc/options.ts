/** Options and arguments of a request, as go-ipfs-cmds reads them from its query (`http/parse.go`). */
import { parseDurationMs } from '@ipfs-cluster/base'
import { badRequest } from './errors.ts'
import { MAX_ARGUMENTS } from './limits.ts'

export type OptionKind = 'bool' | 'int' | 'string'

export interface OptionSpec {
  readonly kind: OptionKind
  /** A short name that means the same. */
  readonly short?: string
}

export interface ArgumentSpec {
  /** For error messages. */
  readonly name: string
  readonly required?: boolean
  /** Any number of them. */
  readonly many?: boolean
  /** May come in the body instead, one a line. */
  readonly fromBody?: boolean
}

/** Of every command. */
const COMMON: Readonly<Record<string, OptionSpec>> = {
  encoding: { kind: 'string', short: 'enc' },
  'stream-channels': { kind: 'bool' },
  timeout: { kind: 'string' },
  offline: { kind: 'bool' },
  'cid-base': { kind: 'string' },
  'upgrade-cidv0-in-output': { kind: 'bool' },
}

const GO_KIND: Readonly<Record<OptionKind, string>> = { bool: 'bool', int: 'int64', string: 'string' }

/** The options that were given. */
export interface Options {
  /** Absent: not given. */
  flag(name: string): boolean | undefined
  number(name: string): number | undefined
  text(name: string): string | undefined
}

/** Unknown options are left alone, as in Kubo. @throws RpcError `RPC_BAD_REQUEST` */
export function readOptions(query: URLSearchParams, own: Readonly<Record<string, OptionSpec>>): Options {
  const specs = { ...COMMON, ...own }
  const values = new Map<string, boolean | number | string>()
  for (const [name, spec] of Object.entries(specs)) {
    const given = [...query.getAll(name), ...(spec.short === undefined ? [] : query.getAll(spec.short))]
    const [text] = given
    if (text === undefined) continue
    if (given.length > 1) {
      throw badRequest(
        `expected key ${name} to have only a single value, received [${given.join(' ').slice(0, 200)}]`,
      )
    }
    values.set(name, converted(name, text, spec.kind))
  }
  const value = <T>(name: string, type: 'boolean' | 'number' | 'string') => {
    const found = values.get(name)
    // oxlint-disable-next-line valid-typeof
    return typeof found === type ? (found as T) : undefined
  }
  return {
    flag: name => value<boolean>(name, 'boolean'),
    number: name => value<number>(name, 'number'),
    text: name => value<string>(name, 'string'),
  }
}

function converted(name: string, text: string, kind: OptionKind): boolean | number | string {
  if (kind === 'string') return text
  if (kind === 'bool') {
    // An option without a value is switched on; the rest is Go's ParseBool.
    if (/^(?:|1|t|T|TRUE|true|True)$/.test(text)) return true
    if (/^(?:0|f|F|FALSE|false|False)$/.test(text)) return false
  } else if (/^[+-]?\d{1,19}$/.test(text) && Number.isSafeInteger(Number(text))) return Number(text)
  throw badRequest(
    `could not convert value ${JSON.stringify(text.slice(0, 200))} to type "${GO_KIND[kind]}" (for option "-${name}")`,
  )
}

/** @throws RpcError `RPC_BAD_REQUEST` when one is missing or there are too many. */
export function checkArguments(given: readonly string[], specs: readonly ArgumentSpec[]): void {
  if (given.length > MAX_ARGUMENTS) throw badRequest(`more than ${MAX_ARGUMENTS} arguments`)
  const required = specs.filter(spec => spec.required === true)
  const missing = required[given.length]
  if (missing !== undefined) throw badRequest(`argument ${JSON.stringify(missing.name)} is required`)
}

/** Milliseconds; `undefined` = none. @throws RpcError `RPC_BAD_REQUEST` */
export function readTimeout(options: Options): number | undefined {
  const text = options.text('timeout')
  if (text === undefined) return undefined
  try {
    const ms = parseDurationMs(text)
    if (ms >= 0) return Math.min(ms, 2 ** 31 - 1)
  } catch {
    // Told below.
  }
  throw badRequest(`timeout=${text.slice(0, 50)} is no duration: write it as 30s or 5m`)
}
