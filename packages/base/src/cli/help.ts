/** Help texts in the layout of urfave/cli v1. */
import type { App, Command, Group, Leaf } from './command.ts'
import { HELP_FLAG, VERSION_FLAG, type Flag, type Flags } from './flags.ts'

const INDENT = '   '

export function helpOfApp<F extends Flags>(app: Omit<App<never, F>, 'prepare'>): string {
  const commands = [
    ...commandRows(app.commands),
    ['help, h', 'Shows a list of commands or help for one command'],
  ]
  return sections([
    ['NAME', `${app.name} - ${app.usage}`],
    ['USAGE', `${app.name} [global options] command [command options] [arguments...]`],
    ['VERSION', app.version],
    ['DESCRIPTION', app.description],
    ['COMMANDS', columns(commands)],
    ['GLOBAL OPTIONS', columns([...Object.values(app.flags), HELP_FLAG, VERSION_FLAG].map(flagRow))],
  ])
}

export function helpOfGroup(fullName: string, group: Group<never>): string {
  return sections([
    ['NAME', `${fullName} - ${group.usage}`],
    ['USAGE', `${fullName} command [command options] [arguments...]`],
    ['COMMANDS', columns(commandRows(group.commands))],
    ['OPTIONS', columns([flagRow(HELP_FLAG)])],
  ])
}

export function helpOfCommand(fullName: string, command: Leaf<never>): string {
  const flags = Object.values(command.flags)
  const options = flags.length === 0 ? '' : ' [command options]'
  return sections([
    ['NAME', `${fullName} - ${command.usage}`],
    ['USAGE', `${fullName}${options} ${command.argsUsage ?? '[arguments...]'}`],
    ...(command.description === undefined ? [] : [['DESCRIPTION', command.description] as const]),
    ...(flags.length === 0 ? [] : [['OPTIONS', columns(flags.map(flagRow))] as const]),
  ])
}

function sections(parts: readonly (readonly [title: string, body: string])[]): string {
  return parts.map(([title, body]) => `${title}:\n${indent(body)}\n`).join('\n')
}

function indent(body: string): string {
  return body
    .split('\n')
    .map(line => (line === '' ? '' : INDENT + line))
    .join('\n')
}

function commandRows(commands: readonly Command<never>[]): string[][] {
  return commands.filter(each => each.hidden !== true).map(each => [each.name, each.usage])
}

function flagRow(flag: Flag<unknown>): string[] {
  const placeholder = flag.takesValue ? ` ${flag.placeholder ?? 'value'}` : ''
  const names = flag.names.map(name => `${name.length === 1 ? '-' : '--'}${name}${placeholder}`)
  const initial = flag.defaultText === '' ? '' : ` (default: ${flag.defaultText})`
  const env = flag.env === undefined ? '' : ` [$${flag.env}]`
  return [names.join(', '), `${flag.usage}${initial}${env}`]
}

/** Two columns, two spaces apart. */
function columns(rows: readonly (readonly string[])[]): string {
  const width = Math.max(...rows.map(([left = '']) => left.length))
  return rows.map(([left = '', right = '']) => `${left.padEnd(width)}  ${right}`).join('\n')
}
