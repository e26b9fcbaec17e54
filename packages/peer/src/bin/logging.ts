/**
 * Log lines as go-log writes them to stderr, tab-separated: time, level, facility, message, fields in JSON. Levels are set for all
 * facilities or for one (`--loglevel info,crdt:debug`).
 */
import { CodedError, type Logger, type LogMethod } from '@ipfs-cluster/base'

const LEVELS = ['debug', 'info', 'warn', 'error'] as const
type Level = (typeof LEVELS)[number]

/** Names that Go accepts beyond ours. */
const ALIASES: Readonly<Record<string, Level>> = {
  warning: 'warn',
  dpanic: 'error',
  panic: 'error',
  fatal: 'error',
  critical: 'error',
  notice: 'info',
}

export interface LogLevels {
  readonly default: Level
  readonly facilities: ReadonlyMap<string, Level>
}

/**
 * Reads `level` or `facility:level`, comma-separated; empty means `info`.
 *
 * @throws CodedError `BAD_LOG_LEVEL`
 */
export function parseLogLevels(text: string): LogLevels {
  const facilities = new Map<string, Level>()
  let level: Level = 'info'
  for (const item of text.split(',').filter(each => each !== '')) {
    const parts = item.split(':')
    const parsed = toLevel(parts.at(-1) ?? '')
    if (parts.length > 2 || parsed === undefined) {
      throw new CodedError(
        `${JSON.stringify(item)} is no log level: use debug, info, warn or error, for one facility as in crdt:debug`,
        { code: 'BAD_LOG_LEVEL' },
      )
    }
    if (parts.length === 2) facilities.set(parts[0] as string, parsed)
    else level = parsed
  }
  return { default: level, facilities }
}

export function createTextLogger(
  write: (line: string) => void,
  levels: LogLevels,
  facility = 'service',
): Logger {
  const least = LEVELS.indexOf(levels.facilities.get(facility) ?? levels.default)
  const method = (level: Level): LogMethod => {
    if (LEVELS.indexOf(level) < least) return () => undefined
    return (fieldsOrMessage: Readonly<Record<string, unknown>> | string, message?: string) => {
      const [fields, text] =
        typeof fieldsOrMessage === 'string' ? [undefined, fieldsOrMessage] : [fieldsOrMessage, message ?? '']
      const parts = [new Date().toISOString(), level.toUpperCase(), facility, oneLine(text)]
      if (fields !== undefined && Object.keys(fields).length > 0) parts.push(JSON.stringify(fields, toJson))
      write(`${parts.join('\t')}\n`)
    }
  }
  return {
    debug: method('debug'),
    info: method('info'),
    warn: method('warn'),
    error: method('error'),
    child: name => createTextLogger(write, levels, name),
  }
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

/** A message must not be able to forge a second line. */
function oneLine(text: string): string {
  return text.replaceAll(/[\r\n]+/g, ' ')
}
