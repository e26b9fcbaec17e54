/**
 * Log lines as go-log writes them to stderr, tab-separated: time, level, facility, message, fields in JSON. Levels are set for all
 * facilities or for one (`--loglevel info,crdt:debug`; Go: `setupLogLevel`, `logging.go`; reference api.md 4.2).
 */
import type { Environment } from '../config/index.ts'
import { CodedError, memoize, type Logger, type LogMethod } from '@ipfs-cluster/base'

const METHODS = ['debug', 'info', 'warn', 'error'] as const
/** The last lets nothing through: nothing here is fatal and goes on. */
const LEVELS = [...METHODS, 'fatal'] as const
export type Level = (typeof LEVELS)[number]

/** Names that Go's tools or their help know, beyond ours. */
const ALIASES: Readonly<Record<string, Level>> = {
  warning: 'warn',
  dpanic: 'fatal',
  panic: 'fatal',
  critical: 'error',
  notice: 'info',
}

/**
 * Facilities of the Go program that are another component here, or a part of one. All others (`cluster`, `restapi`, `crdt`…) have the
 * name that they have there.
 */
export const FACILITY_OF: Readonly<Record<string, string>> = {
  dsstate: 'crdt',
  tags: 'diskinfo',
  apitypes: 'cluster',
  config: 'service',
  shardingdags: 'adder',
  singledags: 'adder',
  optracker: 'pintracker',
  pstoremgr: 'net',
  allocator: 'cluster',
  'p2p-gorpc': 'net',
  swarm2: 'libp2p',
}

/** Facilities of libraries: `--loglevel` without a name is not meant for them. */
const LIBRARIES: Readonly<Record<string, Level>> = { libp2p: 'error' }

/** What go-log has when nobody has said anything it understands. */
const GO_LOG_DEFAULT: Level = 'error'

export interface LogLevels {
  readonly default: Level
  readonly facilities: ReadonlyMap<string, Level>
}

export interface ParsedLogLevels {
  readonly levels: LogLevels
  /** What Go prints to stdout: a level that was given twice. */
  readonly notices: readonly string[]
  /** What was not understood, and what holds instead. */
  readonly warnings: readonly string[]
}

/**
 * Reads `level` or `facility:level`, comma-separated; empty means `info`. As in Go, an unknown level leaves its facilities where go-log
 * has them (`GOLOG_LOG_LEVEL`, else errors only), and an unknown facility is none's.
 *
 * @throws CodedError `BAD_LOG_LEVEL` when an item has more than one colon.
 */
export function parseLogLevels(text: string, env: Environment = {}): ParsedLogLevels {
  const given = new Map<string, Level>()
  const notices: string[] = []
  const warnings: string[] = []
  const fromEnv = parseGoLogLevel(env['GOLOG_LOG_LEVEL'] ?? '')
  for (const item of text.split(',').filter(each => each !== '')) {
    const parts = item.split(':')
    if (parts.length > 2) {
      throw new CodedError(
        `log level not in expected format "identifier:loglevel" or "loglevel": ${JSON.stringify(item)}`,
        { code: 'BAD_LOG_LEVEL' },
      )
    }
    const name = parts.length === 1 || parts[0] === '*' ? 'all' : (parts[0] as string)
    const level = toLevel(parts.at(-1) ?? '')
    if (given.has(name)) notices.push(`overwriting existing ${name} log level`)
    given.set(name, level ?? fromEnv.all)
    if (level === undefined) {
      warnings.push(
        `${JSON.stringify(item)} is no log level: ${fromEnv.all} holds. Use debug, info, warn or error, for one facility as in crdt:debug`,
      )
    }
  }
  const facilities = new Map<string, Level>(Object.entries(LIBRARIES))
  for (const [name, level] of [...fromEnv.named, ...given]) {
    if (name !== 'all' && FACILITY_OF[name] !== undefined)
      moreVerbose(facilities, FACILITY_OF[name], level, given)
  }
  for (const [name, level] of [...fromEnv.named, ...given]) if (name !== 'all') facilities.set(name, level)
  return { levels: { default: given.get('all') ?? 'info', facilities }, notices, warnings }
}

/** `--debug`: everything. */
export const DEBUG_LEVELS: LogLevels = { default: 'debug', facilities: new Map() }

/** A component that stands for several facilities of Go logs what any of them is to log. */
function moreVerbose(
  facilities: Map<string, Level>,
  component: string,
  level: Level,
  given: ReadonlyMap<string, Level>,
): void {
  const now = facilities.get(component)
  const isFirst = now === undefined || now === LIBRARIES[component]
  const most = isFirst || LEVELS.indexOf(level) < LEVELS.indexOf(now) ? level : now
  const all = given.get('all') ?? 'info'
  // Without a name of its own, a component must not become quieter than it would be.
  const least = component in LIBRARIES || LEVELS.indexOf(most) < LEVELS.indexOf(all) ? most : all
  facilities.set(component, least)
}

/** `error,net=debug`, as go-log reads it: for whatever the program itself does not set. */
function parseGoLogLevel(text: string): {
  readonly all: Level
  readonly named: readonly (readonly [string, Level])[]
} {
  let all: Level = GO_LOG_DEFAULT
  const named: [string, Level][] = []
  for (const item of text.split(',').filter(each => each !== '')) {
    const [name = '', level] = item.split('=')
    const parsed = toLevel(level ?? name)
    if (parsed === undefined) continue
    if (level === undefined) all = parsed
    else named.push([name, parsed])
  }
  if (text !== '') named.unshift(...Object.keys(LIBRARIES).map(name => [name, all] as [string, Level]))
  return { all, named }
}

export type LogFormat = 'text' | 'json'

/** `GOLOG_LOG_FMT`, or `IPFS_LOGGING_FMT` as it was called before: `json`; anything else is text, which has no colours here. */
export function logFormat(env: Environment): LogFormat {
  return (env['GOLOG_LOG_FMT'] ?? env['IPFS_LOGGING_FMT']) === 'json' ? 'json' : 'text'
}

export function createTextLogger(
  write: (line: string) => void,
  levels: LogLevels,
  facility = 'service',
  format: LogFormat = 'text',
): Logger {
  const least = LEVELS.indexOf(levels.facilities.get(facility) ?? levels.default)
  const method = (level: (typeof METHODS)[number]): LogMethod => {
    if (LEVELS.indexOf(level) < least) return () => undefined
    return (fieldsOrMessage: Readonly<Record<string, unknown>> | string, message?: string) => {
      const [fields, text] =
        typeof fieldsOrMessage === 'string' ? [undefined, fieldsOrMessage] : [fieldsOrMessage, message ?? '']
      write(logLine[format](level, facility, text, fields))
    }
  }
  return {
    debug: method('debug'),
    info: method('info'),
    warn: method('warn'),
    error: method('error'),
    child: name => createTextLogger(write, levels, name, format),
  }
}

type LineWriter = (
  level: string,
  facility: string,
  text: string,
  fields?: Readonly<Record<string, unknown>>,
) => string

const logLine: Readonly<Record<LogFormat, LineWriter>> = {
  text(level, facility, text, fields) {
    const rest =
      fields !== undefined && Object.keys(fields).length > 0 ? `\t${JSON.stringify(fields, toJson)}` : ''
    return `${now()}\t${level.toUpperCase()}\t${facility}\t${oneLine(text)}${rest}\n`
  },
  // The names of go-log last: no field can take their place.
  json: (level, facility, msg, fields) =>
    `${JSON.stringify({ ...fields, level, ts: now(), logger: facility, msg }, toJson)}\n`,
}

function toLevel(text: string): Level | undefined {
  const lower = text.toLowerCase()
  return LEVELS.find(level => level === lower) ?? ALIASES[lower]
}

function toJson(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Error) return value.stack ?? value.message
  return value
}

// A busy peer logs a line for every request, many of them in the same second.
const secondText = memoize(2, (seconds: number) => new Date(seconds * 1000).toISOString().slice(0, 20))

/** As `toISOString`. */
function now(): string {
  const ms = Date.now()
  return `${secondText(Math.floor(ms / 1000))}${String(ms % 1000).padStart(3, '0')}Z`
}

/** A message must not be able to forge a second line. */
function oneLine(text: string): string {
  return /[\r\n]/.test(text) ? text.replaceAll(/[\r\n]+/g, ' ') : text
}
