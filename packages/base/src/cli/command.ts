/** The tree of commands and how a command line finds its way through it (the rules of urfave/cli v1). */
import { parseFlags, UsageError, VERSION_FLAG, type Environment, type Flags, type Parsed } from './flags.ts'
import { helpOfApp, helpOfCommand, helpOfGroup } from './help.ts'
import type { CliOutput } from './output.ts'

/** Exit codes for a command that does not exist: the usual one, and that of programs which answer with their help. */
const NO_SUCH_COMMAND = 3
const HELP_INSTEAD = 1

export interface Leaf<Context> {
  readonly kind: 'command'
  readonly name: string
  readonly usage: string
  readonly description?: string
  /** What stands for the arguments in help. */
  readonly argsUsage?: string
  readonly hidden?: boolean
  /** Not among `commandNames`, where programs expect what the Go program has. */
  readonly unlisted?: boolean
  /** Its arguments, as far as they can be known, for completion. */
  readonly argChoices?: readonly string[]
  readonly flags: Flags
  readonly run: (context: Context, parsed: Parsed<Flags>, output: CliOutput) => Promise<void>
}

export interface Group<Context> {
  readonly kind: 'group'
  readonly name: string
  readonly usage: string
  readonly hidden?: boolean
  readonly commands: readonly Command<Context>[]
}

export type Command<Context> = Leaf<Context> | Group<Context>

export interface App<Context, F extends Flags> {
  readonly name: string
  readonly usage: string
  readonly version: string
  readonly description: string
  /** Besides `--help` and `--version`, which every program has. */
  readonly flags: F
  readonly commands: readonly Command<Context>[]
  /** Exit code after a usage error. */
  readonly usageExitCode: number
  /**
   * What follows when no command is named at the top: `topic` shows the help and succeeds, and complains on stderr about one that
   * does not exist (exit code 3); `help` shows the help and fails (1) for both.
   */
  readonly unknownCommand: 'topic' | 'help'
  /** Makes what commands run with; called once the app's own flags are known. */
  readonly prepare: (parsed: Parsed<F>) => Promise<Context> | Context
}

/** A command, whose `run` gets the values of its flags by their types. */
export function command<Context, F extends Flags>(
  spec: Omit<Leaf<Context>, 'kind' | 'flags' | 'run'> & {
    readonly flags?: F
    readonly run: (context: Context, parsed: Parsed<F>, output: CliOutput) => Promise<void>
  },
): Leaf<Context> {
  // `execute` calls `run` with what was parsed for these very flags.
  return {
    ...spec,
    kind: 'command',
    flags: spec.flags ?? {},
    run: spec.run as unknown as Leaf<Context>['run'],
  }
}

export function group<Context>(spec: Omit<Group<Context>, 'kind'>): Group<Context> {
  return { ...spec, kind: 'group' }
}

/**
 * Runs a command line.
 *
 * @param words without the program's name.
 * @returns the exit code, when no command threw.
 */
export async function execute<Context, F extends Flags>(
  app: App<Context, F>,
  words: readonly string[],
  output: CliOutput,
  env: Environment,
): Promise<number> {
  const help = helpOfApp(app)
  const { usageExitCode } = app
  const flags = { ...app.flags, version: VERSION_FLAG }
  const parsed = await orUsage(
    () => parseFlags(flags, words, 'first', env),
    'Incorrect Usage. ',
    help,
    output,
  )
  if (parsed === null) return usageExitCode
  if (parsed.help) {
    await output.stdout(help)
    return 0
  }
  if (parsed.values['version'] === true) {
    await output.stdout(`${app.name} version ${app.version}\n`)
    return 0
  }
  const [name = ''] = parsed.args
  if (app.unknownCommand === 'help' && !isHelp(name) && !app.commands.some(each => each.name === name)) {
    await output.stdout(help)
    return HELP_INSTEAD
  }
  const context = await app.prepare(parsed)
  const place = { path: app.name, commands: app.commands, help }
  return await descend(place, parsed.args, { context, output, env, usageExitCode })
}

/** The full name of every command, groups and `help` included. */
export function commandNames(program: string, commands: readonly Command<never>[]): string[] {
  return [...namesBelow(program, commands), `${program} help`]
}

function namesBelow(path: string, commands: readonly Command<never>[]): string[] {
  return commands.flatMap(each => {
    const name = `${path} ${each.name}`
    if (each.kind === 'command' && each.unlisted === true) return []
    return each.kind === 'group' ? [name, ...namesBelow(name, each.commands)] : [name]
  })
}

/** A group of commands, or the program itself. */
interface Place<Context> {
  /** Its full name. */
  readonly path: string
  readonly commands: readonly Command<Context>[]
  readonly help: string
}

/** What is the same all the way down. */
interface Run<Context> {
  readonly context: Context
  readonly output: CliOutput
  readonly env: Environment
  readonly usageExitCode: number
}

async function descend<Context>(
  { path, commands, help }: Place<Context>,
  [name = '', ...rest]: readonly string[],
  run: Run<Context>,
): Promise<number> {
  const { context, output, env, usageExitCode } = run
  if (name === '') {
    await output.stdout(help)
    return 0
  }
  const found = commands.find(each => each.name === name)
  if (found === undefined && isHelp(name)) return await showHelp({ path, commands, help }, rest, output)
  if (found === undefined) return await noSuch(name, output)
  const fullName = `${path} ${name}`
  const ownHelp = helpOf(fullName, found)
  if (found.kind === 'group') {
    const parsed = await orUsage(
      () => parseFlags({}, rest, 'first', env),
      'Incorrect Usage. ',
      ownHelp,
      output,
    )
    if (parsed === null) return usageExitCode
    const place = { path: fullName, commands: found.commands, help: ownHelp }
    return await descend(place, parsed.help ? [] : parsed.args, run)
  }
  const parsed = await orUsage(
    () => parseFlags(found.flags, rest, 'anywhere', env),
    'Incorrect Usage: ',
    ownHelp,
    output,
  )
  if (parsed === null) return usageExitCode
  if (parsed.help) await output.stdout(ownHelp)
  else await found.run(context, parsed, output)
  return 0
}

function isHelp(name: string): boolean {
  return name === 'help' || name === 'h'
}

async function showHelp(
  { path, commands, help }: Place<never>,
  words: readonly string[],
  output: CliOutput,
): Promise<number> {
  const topic = words.find(word => !word.startsWith('-'))
  const found = commands.find(each => each.name === topic)
  if (topic !== undefined && found === undefined) return await noSuch(topic, output)
  await output.stdout(found === undefined ? help : helpOf(`${path} ${found.name}`, found))
  return 0
}

function helpOf(fullName: string, command: Command<never>): string {
  return command.kind === 'group' ? helpOfGroup(fullName, command) : helpOfCommand(fullName, command)
}

async function noSuch(name: string, output: CliOutput): Promise<number> {
  await output.stderr(`No help topic for '${name}'\n`)
  return NO_SUCH_COMMAND
}

async function orUsage<T>(
  parse: () => T,
  prefix: string,
  help: string,
  output: CliOutput,
): Promise<T | null> {
  try {
    return parse()
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    await output.stdout(`${prefix}${error.message}\n\n${help}`)
    return null
  }
}
