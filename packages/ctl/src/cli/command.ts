/** The tree of commands and how a command line finds its way through it (the rules of urfave/cli v1). */
import { helpOfApp, helpOfCommand, helpOfGroup } from './help.ts'
import { parseFlags, UsageError, type Flags, type Parsed } from './flags.ts'

/** Exit code for a command that does not exist. */
const NO_SUCH_COMMAND = 3

export interface Leaf<Context> {
  readonly kind: 'command'
  readonly name: string
  readonly usage: string
  readonly description?: string
  /** What stands for the arguments in help. */
  readonly argsUsage?: string
  readonly hidden?: boolean
  readonly flags: Flags
  readonly run: (context: Context, parsed: Parsed<Flags>) => Promise<void>
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
  readonly flags: F
  readonly commands: readonly Command<Context>[]
  /** Makes what commands run with; called once the app's own flags are known. */
  readonly prepare: (parsed: Parsed<F>) => Promise<Context> | Context
}

/** Where help and complaints go. */
export interface CliOutput {
  stdout(text: string): Promise<void>
  stderr(text: string): Promise<void>
}

/** A command, whose `run` gets the values of its flags by their types. */
export function command<Context, F extends Flags>(
  spec: Omit<Leaf<Context>, 'kind' | 'flags' | 'run'> & {
    readonly flags?: F
    readonly run: (context: Context, parsed: Parsed<F>) => Promise<void>
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
  env: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  const help = helpOfApp(app)
  const parsed = await orUsage(
    () => parseFlags(app.flags, words, 'first', env),
    `Incorrect Usage. `,
    help,
    output,
  )
  if (parsed === null) return 1
  if (parsed.help) {
    await output.stdout(help)
    return 0
  }
  if (parsed.values['version'] === true) {
    await output.stdout(`${app.name} version ${app.version}\n`)
    return 0
  }
  const context = await app.prepare(parsed)
  return await descend({ path: app.name, commands: app.commands, help }, parsed.args, context, output)
}

/** A group of commands, or the program itself. */
interface Place<Context> {
  /** Its full name. */
  readonly path: string
  readonly commands: readonly Command<Context>[]
  readonly help: string
}

async function descend<Context>(
  { path, commands, help }: Place<Context>,
  words: readonly string[],
  context: Context,
  output: CliOutput,
): Promise<number> {
  const [name, ...rest] = words
  if (name === undefined) {
    await output.stdout(help)
    return 0
  }
  if (name === 'help' || name === 'h') {
    const topic = rest.find(word => !word.startsWith('-'))
    const found = commands.find(each => each.name === topic)
    if (topic !== undefined && found === undefined) return await noSuch(topic, output)
    await output.stdout(found === undefined ? help : helpOf(`${path} ${found.name}`, found))
    return 0
  }
  const found = commands.find(each => each.name === name)
  if (found === undefined) return await noSuch(name, output)
  const fullName = `${path} ${name}`
  const ownHelp = helpOf(fullName, found)
  if (found.kind === 'group') {
    const parsed = await orUsage(() => parseFlags({}, rest, 'first'), 'Incorrect Usage. ', ownHelp, output)
    if (parsed === null) return 1
    return await descend(
      { path: fullName, commands: found.commands, help: ownHelp },
      parsed.help ? [] : parsed.args,
      context,
      output,
    )
  }
  const parsed = await orUsage(
    () => parseFlags(found.flags, rest, 'anywhere'),
    'Incorrect Usage: ',
    ownHelp,
    output,
  )
  if (parsed === null) return 1
  if (parsed.help) await output.stdout(ownHelp)
  else await found.run(context, parsed)
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

/** The full name of every command below `path`, groups included. */
export function commandNames(path: string, commands: readonly Command<never>[]): string[] {
  return commands.flatMap(each => {
    const name = `${path} ${each.name}`
    return each.kind === 'group' ? [name, ...commandNames(name, each.commands)] : [name]
  })
}
