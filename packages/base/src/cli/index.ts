/**
 * Command lines that behave like those of the Go programs, which use urfave/cli v1: flags of a command before or behind its arguments,
 * `-flag` as good as `--flag`, the same usage errors, exit codes and layout of help (reference api.md 4.0).
 *
 * A program is an `App`: a tree of `group`s and `command`s, each with a record of flags whose values reach `run` by their types.
 * `execute` runs a command line and returns the exit code. What fails in a command is thrown: its words and its exit code are the
 * program's own.
 */
export {
  command,
  commandNames,
  execute,
  group,
  type App,
  type Command,
  type Group,
  type Leaf,
} from './command.ts'
export { completionCommand, completionScript, SHELLS, type Program, type Shell } from './completion.ts'
export {
  boolean,
  duration,
  integer,
  text,
  texts,
  type Flag,
  type Flags,
  type Parsed,
  type Values,
} from './flags.ts'
export { writeTo, type CliOutput } from './output.ts'
