/**
 * Command lines that behave like those of the Go programs (urfave/cli v1): flags of a command before or after its arguments, `-flag` as good
 * as `--flag`, the same usage errors, exit codes and help pages (reference api.md 4.0). Shared by ipfs-cluster-service and
 * ipfs-cluster-ctl; a program is a table of commands.
 */
import { errorMessage } from './errors.ts'
import { formatDurationMs, parseDurationMs } from './duration.ts'

interface FlagBase {
  readonly name: string
  readonly aliases?: readonly string[]
  readonly usage: string
  /** Environment variable that stands in when the flag is not given. */
  readonly env?: string
  readonly hidden?: boolean
}

/** `list` may be given several times. `duration` is in milliseconds. */
export type Flag = FlagBase &
  (
    | { readonly kind: 'bool' }
    | { readonly kind: 'string'; readonly initial?: string; readonly placeholder?: string }
    | { readonly kind: 'int'; readonly initial?: number }
    | { readonly kind: 'duration'; readonly initial?: number }
    | { readonly kind: 'list' }
  )

/** The values of flags, by name. Asking for a flag that the table does not have is a programmer's error. */
export interface FlagValues {
  bool(name: string): boolean
  string(name: string): string
  int(name: string): number
  /** Milliseconds. */
  duration(name: string): number
  list(name: string): readonly string[]
  /** Given on the command line or in the environment. */
  isSet(name: string): boolean
}

export interface Invocation {
  readonly global: FlagValues
  readonly flags: FlagValues
  readonly args: readonly string[]
}

export interface Command {
  readonly name: string
  readonly usage: string
  readonly description?: string
  /** Stands for the arguments in the usage line. */
  readonly argsUsage?: string
  readonly hidden?: boolean
  readonly flags?: readonly Flag[]
  readonly commands?: readonly Command[]
  /** Resolves with the exit code. A group has none. */
  readonly run?: (invocation: Invocation) => Promise<number>
}

export interface Program {
  readonly name: string
  readonly usage: string
  readonly version: string
  readonly description: string
  readonly flags: readonly Flag[]
  readonly commands: readonly Command[]
  /** Exit code after a usage error. */
  readonly usageExitCode: number
  /** What an unknown command at the top does: `topic` complains on stderr and exits with 3, `help` shows the help and exits with 1. */
  readonly unknownCommand: 'topic' | 'help'
}

export interface CliIo {
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  readonly env: Readonly<Record<string, string | undefined>>
}

const HELP_FLAG: Flag = { name: 'help', aliases: ['h'], kind: 'bool', usage: 'show help' }
const VERSION_FLAG: Flag = { name: 'version', aliases: ['v'], kind: 'bool', usage: 'print the version' }
const HELP_COMMAND: Command = {
  name: 'help, h',
  usage: 'Shows a list of commands or help for one command',
  run: () => Promise.resolve(0),
}
const UNKNOWN_TOPIC_EXIT = 3

/** Runs the program with these arguments (without its own name); resolves with the exit code. Errors of commands pass through. */
export async function runProgram(program: Program, argv: readonly string[], io: CliIo): Promise<number> {
  let parsed: ParsedFlags
  try {
    parsed = parseFlags([...program.flags, HELP_FLAG, VERSION_FLAG], argv, io.env, 'stop')
  } catch (error) {
    io.out(`Incorrect Usage. ${errorMessage(error)}\n\n${programHelp(program)}`)
    return program.usageExitCode
  }
  const [name, ...rest] = parsed.rest
  if (parsed.values.bool('version')) {
    io.out(`${program.name} version ${program.version}\n`)
    return 0
  }
  if (parsed.values.bool('help')) {
    io.out(programHelp(program))
    return 0
  }
  if (name === undefined && program.unknownCommand === 'topic') {
    io.out(programHelp(program))
    return 0
  }
  const level: Level = {
    program,
    global: parsed.values,
    fullName: program.name,
    commands: program.commands,
    io,
  }
  return await dispatch(level, name === undefined ? [] : [name, ...rest])
}

/** The full names of all commands, as `commands` prints them. */
export function commandNames(program: Program): string[] {
  const walk = (prefix: string, commands: readonly Command[]): string[] =>
    commands.flatMap(command => [
      `${prefix} ${command.name}`,
      ...walk(`${prefix} ${command.name}`, command.commands ?? []),
    ])
  return [...walk(program.name, program.commands), `${program.name} help`]
}

/** Where in the tree of commands we are: the program itself, or a group. */
interface Level {
  readonly program: Program
  readonly global: FlagValues
  readonly fullName: string
  readonly commands: readonly Command[]
  /** The group; none for the program. */
  readonly group?: Command
  readonly io: CliIo
}

async function dispatch(level: Level, [name, ...args]: readonly string[]): Promise<number> {
  const { program, io } = level
  const command = level.commands.find(each => each.name === name)
  if (command !== undefined) return await runCommand(level, command, args)
  if (name === 'help' || name === 'h') return help(level, args)
  if (level.group === undefined && program.unknownCommand === 'help') {
    io.out(programHelp(program))
    return 1
  }
  io.err(`No help topic for '${name}'\n`)
  return UNKNOWN_TOPIC_EXIT
}

async function runCommand(level: Level, command: Command, argv: readonly string[]): Promise<number> {
  const { program, global, io } = level
  const { commands, run } = command
  const fullName = `${level.fullName} ${command.name}`
  let parsed: ParsedFlags
  try {
    const mode = commands === undefined ? 'collect' : 'stop'
    parsed = parseFlags([...(command.flags ?? []), HELP_FLAG], argv, io.env, mode)
  } catch (error) {
    const mark = commands === undefined ? ':' : '.'
    io.out(`Incorrect Usage${mark} ${errorMessage(error)}\n\n${commandHelp(command, fullName)}`)
    return program.usageExitCode
  }
  if (parsed.values.bool('help') || (run === undefined && parsed.rest.length === 0)) {
    io.out(commandHelp(command, fullName))
    return 0
  }
  if (run !== undefined) return await run({ global, flags: parsed.values, args: parsed.rest })
  return await dispatch(
    { program, global, io, fullName, commands: commands ?? [], group: command },
    parsed.rest,
  )
}

function help({ program, commands, fullName, group, io }: Level, [topic]: readonly string[]): number {
  if (topic === undefined) {
    io.out(group === undefined ? programHelp(program) : commandHelp(group, fullName))
    return 0
  }
  const command = commands.find(each => each.name === topic)
  if (command === undefined) {
    io.err(`No help topic for '${topic}'\n`)
    return UNKNOWN_TOPIC_EXIT
  }
  io.out(commandHelp(command, `${fullName} ${command.name}`))
  return 0
}

interface ParsedFlags {
  readonly values: FlagValues
  readonly rest: readonly string[]
}

/**
 * @param mode `stop` at the first argument (programs and groups), or `collect` arguments between flags (commands).
 * @throws Error with Go's text for what is wrong.
 */
function parseFlags(
  flags: readonly Flag[],
  argv: readonly string[],
  env: CliIo['env'],
  mode: 'stop' | 'collect',
): ParsedFlags {
  const given = new Map<string, string[]>()
  const rest: string[] = []
  for (let index = 0; index < argv.length; index++) {
    const word = argv[index] as string
    if (word === '--') {
      rest.push(...argv.slice(index + 1))
      break
    }
    if (!word.startsWith('-') || word === '-') {
      if (mode === 'stop') {
        rest.push(...argv.slice(index))
        break
      }
      rest.push(word)
      continue
    }
    const equals = word.indexOf('=')
    const name = word.slice(word.startsWith('--') ? 2 : 1, equals < 0 ? undefined : equals)
    const flag = flags.find(each => each.name === name || each.aliases?.includes(name) === true)
    if (flag === undefined) throw new Error(`flag provided but not defined: -${name}`)
    let value = equals < 0 ? undefined : word.slice(equals + 1)
    if (value === undefined) {
      if (flag.kind === 'bool') value = 'true'
      else if (++index < argv.length) value = argv[index] as string
      else throw new Error(`flag needs an argument: -${name}`)
    }
    check(flag, name, value)
    given.set(flag.name, flag.kind === 'list' ? [...(given.get(flag.name) ?? []), value] : [value])
  }
  for (const flag of flags) {
    const value = flag.env === undefined ? undefined : env[flag.env]
    if (value === undefined || value === '' || given.has(flag.name)) continue
    check(flag, flag.name, value)
    given.set(flag.name, [value])
  }
  return { values: flagValues(flags, given), rest }
}

function check(flag: Flag, name: string, value: string): void {
  const wrong = (why: string) =>
    new Error(
      `invalid ${flag.kind === 'bool' ? 'boolean ' : ''}value "${value}" for${flag.kind === 'bool' ? '' : ' flag'} -${name}: ${why}`,
    )
  if (flag.kind === 'bool' && !/^(1|t|T|TRUE|true|True|0|f|F|FALSE|false|False)$/.test(value))
    throw wrong('parse error')
  if (flag.kind === 'int' && !/^[+-]?(0x[0-9a-fA-F]+|\d+)$/.test(value)) throw wrong('parse error')
  if (flag.kind === 'duration') {
    try {
      parseDurationMs(value)
    } catch {
      throw wrong('parse error')
    }
  }
}

function flagValues(flags: readonly Flag[], given: ReadonlyMap<string, readonly string[]>): FlagValues {
  const find = (name: string, kind: Flag['kind']) => {
    const flag = flags.find(each => each.name === name && each.kind === kind)
    if (flag === undefined) throw new Error(`invariant broken: there is no ${kind} flag ${name}`)
    return { flag, last: given.get(name)?.at(-1) }
  }
  const initial = (flag: Flag) => ('initial' in flag ? flag.initial : undefined)
  return {
    bool: name => /^(1|t)/i.test(find(name, 'bool').last ?? ''),
    string(name) {
      const { flag, last } = find(name, 'string')
      return last ?? String(initial(flag) ?? '')
    },
    int(name) {
      const { flag, last } = find(name, 'int')
      return last === undefined ? Number(initial(flag) ?? 0) : Number(last)
    },
    duration(name) {
      const { flag, last } = find(name, 'duration')
      return last === undefined ? Number(initial(flag) ?? 0) : parseDurationMs(last)
    },
    list(name) {
      find(name, 'list')
      return given.get(name) ?? []
    },
    isSet: name => given.has(name),
  }
}

function programHelp(program: Program): string {
  const commands = [...program.commands, HELP_COMMAND].filter(command => command.hidden !== true)
  return sections([
    ['NAME', [`${program.name} - ${program.usage}`]],
    ['USAGE', [`${program.name} [global options] command [command options] [arguments...]`]],
    ['VERSION', [program.version]],
    ['DESCRIPTION', program.description.split('\n')],
    ['COMMANDS', table(commands.map(command => [command.name, command.usage]))],
    ['GLOBAL OPTIONS', table([...program.flags, HELP_FLAG, VERSION_FLAG].filter(isShown).map(flagRow))],
  ])
}

function commandHelp(command: Command, fullName: string): string {
  const isGroup = command.commands !== undefined
  const usage = isGroup
    ? `${fullName} command [command options] [arguments...]`
    : `${fullName}${(command.flags ?? []).some(isShown) ? ' [command options]' : ''} ${command.argsUsage ?? '[arguments...]'}`
  const flags = isGroup ? [...(command.flags ?? []), HELP_FLAG] : (command.flags ?? [])
  const shown = (command.commands ?? []).filter(each => each.hidden !== true)
  return sections([
    ['NAME', [`${fullName} - ${command.usage}`]],
    ['USAGE', [usage]],
    ['DESCRIPTION', command.description?.split('\n') ?? []],
    ['COMMANDS', table(shown.map(each => [each.name, each.usage]))],
    ['OPTIONS', table(flags.filter(isShown).map(flagRow))],
  ])
}

function isShown(flag: Flag): boolean {
  return flag.hidden !== true
}

function flagRow(flag: Flag): [string, string] {
  const placeholder =
    flag.kind === 'bool' ? '' : ` ${(flag.kind === 'string' && flag.placeholder) || 'value'}`
  const names = [flag.name, ...(flag.aliases ?? [])].map(
    name => `${name.length > 1 ? '--' : '-'}${name}${placeholder}`,
  )
  const initial = initialText(flag)
  const tail = [initial === '' ? '' : `(default: ${initial})`, flag.env === undefined ? '' : `[$${flag.env}]`]
  return [names.join(', '), [flag.usage, ...tail].filter(part => part !== '').join(' ')]
}

function initialText(flag: Flag): string {
  switch (flag.kind) {
    case 'bool':
    case 'list':
      return ''
    case 'string':
      return flag.initial === undefined || flag.initial === '' ? '' : `"${flag.initial}"`
    case 'int':
      return String(flag.initial ?? 0)
    case 'duration':
      return formatDurationMs(flag.initial ?? 0)
  }
}

/** Two columns, two spaces apart. */
function table(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(0, ...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `${left.padEnd(width)}  ${right}`.trimEnd())
}

function sections(parts: readonly (readonly [string, readonly string[]])[]): string {
  return parts
    .filter(([, lines]) => lines.length > 0)
    .map(([title, lines]) => `${title}:\n${lines.map(line => `   ${line}`.trimEnd()).join('\n')}\n`)
    .join('\n')
}
