/**
 * Scripts that complete a program's command lines in a shell, made from its table of commands: commands, flags, and values that can be
 * listed. Where nothing is known the shell completes file names.
 */
import { command, type Command, type Leaf } from './command.ts'
import { HELP_FLAG, VERSION_FLAG, type Flag, type Flags } from './flags.ts'

export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]

/** What is to be completed. */
export interface Program {
  readonly name: string
  readonly flags: Flags
  readonly commands: readonly Command<never>[]
}

/**
 * `completion bash|zsh|fish`: prints the script; throws for another shell.
 *
 * @param table of the program, this command included.
 */
export function completionCommand(name: string, table: () => Omit<Program, 'name'>): Leaf<unknown> {
  return command({
    name: 'completion',
    usage: 'Print a script that completes command lines in a shell',
    argsUsage: 'bash|zsh|fish',
    description: `For the running bash or zsh:

$ source <(${name} completion bash)

For good, put that line into ~/.bashrc (or ~/.zshrc, with zsh for bash, after compinit). For fish:

$ ${name} completion fish > ~/.config/fish/completions/${name}.fish`,
    unlisted: true,
    argChoices: SHELLS,
    async run(_: unknown, { args }, output) {
      const shell = SHELLS.find(each => each === args[0])
      if (shell === undefined) throw new Error(`need the name of a shell: ${SHELLS.join(', ')}`)
      await output.stdout(completionScript({ name, ...table() }, shell))
    },
  })
}

export function completionScript(program: Program, shell: Shell): string {
  const places = placesOf(program)
  const name = `_${program.name.replace(/\W/g, '_')}`
  return { bash: bashScript, zsh: zshScript, fish: fishScript }[shell](program.name, name, places)
}

/** Where a command line may be: behind the program's name, or that of a group or command. */
interface Place {
  /** Commands so far, each after a space. */
  readonly path: string
  readonly commands: readonly Choice[]
  readonly flags: readonly Flag<unknown>[]
  readonly args: readonly string[]
}

interface Choice {
  readonly name: string
  readonly usage: string
}

const HELP_COMMAND: Choice = { name: 'help', usage: HELP_FLAG.usage }

function placesOf({ flags, commands }: Program): Place[] {
  return placesBelow('', commands, [...Object.values(flags), HELP_FLAG, VERSION_FLAG])
}

function placesBelow(
  path: string,
  commands: readonly Command<never>[],
  flags: readonly Flag<unknown>[],
): Place[] {
  const shown = commands.filter(each => each.hidden !== true)
  const own: Place = { path, commands: [...shown, HELP_COMMAND], flags, args: [] }
  const below = shown.flatMap(each => {
    const place = `${path} ${each.name}`
    if (each.kind === 'group') return placesBelow(place, each.commands, [HELP_FLAG])
    const all = [...Object.values(each.flags), HELP_FLAG]
    return [{ path: place, commands: [], flags: all, args: each.argChoices ?? [] }]
  })
  return [own, ...below]
}

/** With their dashes, as the shell has them before it. */
function spellings(flag: Flag<unknown>): string[] {
  return flag.names.map(name => (name.length === 1 ? `-${name}` : `--${name}`))
}

/** `case` patterns of words after a place; flags with one dash. */
function patterns(places: readonly Place[], words: (place: Place) => readonly string[]): string[] {
  return places.flatMap(place => words(place).map(word => quoted(`${place.path} ${word}`)))
}

const valueFlags = (place: Place) =>
  place.flags.filter(flag => flag.takesValue).flatMap(flag => flag.names.map(name => `-${name}`))

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`
}

interface Values {
  readonly pattern: string
  readonly choices: readonly string[]
  readonly list: boolean
}

/** The flags whose values are known. */
function knownValues(places: readonly Place[]): Values[] {
  return places.flatMap(({ path, flags }) =>
    flags.flatMap(({ choices, list = false, names }) =>
      choices === undefined
        ? []
        : [{ pattern: names.map(name => quoted(`${path} -${name}`)).join('|'), choices, list }],
    ),
  )
}

/** Works out `place` and `flag` (one that waits for its value) from the words so far; the same in bash and zsh. */
function walk(places: readonly Place[], words: string): string {
  const commands = patterns(places, place => place.commands.map(({ name }) => name))
  return `  local word place='' flag=''
  for word in ${words}; do
    [[ $word == '=' ]] && continue
    if [[ -n $flag ]]; then
      flag=''
      continue
    fi
    [[ $word == --?* ]] && word=\${word#-}
    case "$place $word" in
      ${patterns(places, valueFlags).join('|')}) flag=$word ;;
      ${commands.join('|')}) place="$place $word" ;;
    esac
  done`
}

function bashScript(program: string, name: string, places: readonly Place[]): string {
  const values = knownValues(places).map(({ pattern, choices, list }) => {
    const prefix = list ? ` [[ $current == *,* ]] && prefix=\${current%,*},;` : ''
    return `      ${pattern})${prefix} candidates=${quoted(choices.join(' '))} ;;`
  })
  const flags = places.map(
    ({ path, flags }) => `      ${quoted(path)}) candidates=${quoted(flags.flatMap(spellings).join(' '))} ;;`,
  )
  const words = places.map(({ path, commands, args }) => {
    const all = [...commands.map(({ name }) => name), ...args]
    return `      ${quoted(path)}) candidates=${quoted(all.join(' '))} ;;`
  })
  return `# bash completion for ${program}
${name}() {
  local current=\${COMP_WORDS[COMP_CWORD]} candidates='' prefix=''
${walk(places, '"${COMP_WORDS[@]:1:COMP_CWORD-1}"')}
  [[ $current == '=' ]] && current=''
  if [[ -n $flag ]]; then
    case "$place $flag" in
${values.join('\n')}
    esac
  elif [[ $current == -* ]]; then
    case "$place" in
${flags.join('\n')}
    esac
  else
    case "$place" in
${words.join('\n')}
    esac
  fi
  local IFS=$' \\n'
  COMPREPLY=($(compgen -P "$prefix" -W "$candidates" -- "\${current#"$prefix"}"))
}
complete -o bashdefault -o default -F ${name} ${program}
`
}

function zshScript(program: string, name: string, places: readonly Place[]): string {
  const described = (choices: readonly Choice[]) =>
    choices.map(({ name, usage }) => quoted(`${name.replaceAll(':', '\\:')}:${usage}`)).join(' ')
  const values = knownValues(places).map(({ pattern, choices, list }) => {
    const known = choices.map(quoted).join(' ')
    return `      ${pattern}) ${list ? "compset -P '*,'; " : ''}compadd -- ${known} ;;`
  })
  const flags = places.map(({ path, flags }) => {
    const all = flags.flatMap(flag =>
      spellings(flag).map(spelling => ({ name: spelling, usage: flag.usage })),
    )
    return `      ${quoted(path)}) choices=(${described(all)}) ;;`
  })
  const words = places.map(({ path, commands, args }) => {
    const all = [...commands, ...args.map(arg => ({ name: arg, usage: arg }))]
    return `      ${quoted(path)}) choices=(${described(all)}) ;;`
  })
  return `#compdef ${program}
${name}() {
  local -a choices
${walk(places, '"${(@)words[2,CURRENT-1]}"')}
  if [[ -z $flag && $PREFIX == -*=* ]]; then
    flag=\${PREFIX%%=*}
    [[ $flag == --?* ]] && flag=\${flag#-}
    compset -P '*='
  fi
  if [[ -n $flag ]]; then
    case "$place $flag" in
${values.join('\n')}
      *) _files ;;
    esac
  elif [[ $PREFIX == -* ]]; then
    case "$place" in
${flags.join('\n')}
    esac
    _describe -o option choices
  else
    case "$place" in
${words.join('\n')}
    esac
    if (( $#choices )); then _describe command choices; else _files; fi
  fi
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then ${name} "$@"; else compdef ${name} ${program}; fi
`
}

function fishScript(program: string, name: string, places: readonly Place[]): string {
  const at = ({ path }: Place) => `-c ${program} -n ${fishQuoted(`_${name}_at ${fishQuoted(path)}`)}`
  const lines = places.flatMap(place => [
    ...place.commands.map(
      each => `complete ${at(place)} -f -a ${fishQuoted(each.name)} -d ${fishQuoted(each.usage)}`,
    ),
    ...(place.args.length === 0 ? [] : [`complete ${at(place)} -f -a ${fishQuoted(place.args.join(' '))}`]),
    ...place.flags.map(flag => `complete ${at(place)} ${fishFlag(flag)}`),
  ])
  const fishPatterns = (words: (place: Place) => readonly string[]) =>
    places.flatMap(place => words(place).map(word => fishQuoted(`${place.path} ${word}`))).join(' ')
  return `# fish completion for ${program}
function _${name}_at
    set -l place ''
    set -l flag ''
    for word in (commandline -opc)[2..-1]
        if test -n "$flag"
            set flag ''
            continue
        end
        set -l word (string replace -r '^--' '-' -- $word)
        switch "$place $word"
            case ${fishPatterns(valueFlags)}
                set flag $word
            case ${fishPatterns(({ commands }) => commands.map(({ name }) => name))}
                set place "$place $word"
        end
    end
    test "$place" = "$argv[1]"
end
${lines.join('\n')}
`
}

function fishFlag({ names, usage, takesValue, choices, list }: Flag<unknown>): string {
  const spelled = names.map(name => `${name.length === 1 ? '-s' : '-l'} ${name}`).join(' ')
  const values = choices?.join(' ') ?? ''
  // A list goes on behind the comma; fish completes the whole word.
  const known = list === true ? `(__fish_append , ${values})` : values
  const value = !takesValue ? '' : choices === undefined ? ' -r' : ` -x -a ${fishQuoted(known)}`
  return `${spelled}${value} -d ${fishQuoted(usage)}`
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
