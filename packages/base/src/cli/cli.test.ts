import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  boolean,
  command,
  commandNames,
  duration,
  execute,
  group,
  integer,
  text,
  texts,
  type App,
  type Command,
} from './index.ts'

/** What reached a command. */
interface Call {
  readonly host: string
  readonly values: unknown
  readonly given: readonly string[]
  readonly args: readonly string[]
}

interface Context {
  readonly host: string
  readonly calls: Call[]
}

const COMMANDS: readonly Command<Context>[] = [
  command({
    name: 'id',
    usage: 'who',
    async run({ host, calls }: Context, { values, given, args }) {
      calls.push({ host, values, given: [...given], args })
    },
  }),
  group<Context>({
    name: 'pin',
    usage: 'pins',
    commands: [
      command({
        name: 'add',
        usage: 'adds',
        argsUsage: '<CID>',
        description: 'Adds a pin.\n\nAnd waits.',
        flags: {
          replication: integer('replication, r', 'copies'),
          wait: boolean('wait, w', 'wait'),
          waitTimeout: duration('wait-timeout, wt', 'how long'),
          metadata: texts('metadata', 'k=v'),
          name: text('name', 'its name', '', { env: 'TOOL_NAME' }),
        },
        async run({ host, calls }: Context, { values, given, args }) {
          const { replication, wait, waitTimeout, metadata, name } = values
          calls.push({
            host,
            values: [replication + 1, !wait, waitTimeout + 1n, metadata.join('&'), name.length],
            given: [...given],
            args,
          })
        },
      }),
    ],
  }),
  command({ name: 'secret', usage: 'hidden', hidden: true, run: async () => undefined }),
]

const flags = {
  host: text('host, l', 'where', '/ip4', { env: 'TOOL_HOST' }),
  folder: text('folder, c', 'what', '', { placeholder: 'FOLDER' }),
  timeout: integer('timeout, t', 'seconds', { env: 'TOOL_TIMEOUT' }),
}

const HELP = `NAME:
   tool - does things

USAGE:
   tool [global options] command [command options] [arguments...]

VERSION:
   1.2.3

DESCRIPTION:
   What it does.

   And how.

COMMANDS:
   id       who
   pin      pins
   help, h  Shows a list of commands or help for one command

GLOBAL OPTIONS:
   --host value, -l value      where (default: "/ip4") [$TOOL_HOST]
   --folder FOLDER, -c FOLDER  what
   --timeout value, -t value   seconds (default: 0) [$TOOL_TIMEOUT]
   --help, -h                  show help
   --version, -v               print the version
`

interface Options {
  readonly env?: Record<string, string>
  readonly app?: Partial<Pick<App<Context, typeof flags>, 'usageExitCode' | 'unknownCommand'>>
}

/** Runs the words of a line. */
async function call(line: string, { env = {}, app = {} }: Options = {}) {
  let [out, err] = ['', '']
  const calls: Call[] = []
  const code = await execute<Context, typeof flags>(
    {
      name: 'tool',
      usage: 'does things',
      version: '1.2.3',
      description: 'What it does.\n\nAnd how.',
      flags,
      commands: COMMANDS,
      usageExitCode: 1,
      unknownCommand: 'topic',
      prepare: ({ values }) => ({ host: values.host, calls }),
      ...app,
    },
    line === '' ? [] : line.split(' '),
    { stdout: async text => void (out += text), stderr: async text => void (err += text) },
    env,
  )
  return { code, out, err, calls }
}

test('flags stand before or behind the arguments, with one dash or two', async () => {
  const many = await call('-l x pin add cid -r=3 --metadata a=b -wt 2s --metadata=c=d -w')
  assert.deepEqual(many.calls, [
    {
      host: 'x',
      values: [4, false, 2_000_000_001n, 'a=b&c=d', 0],
      given: ['replication', 'metadata', 'waitTimeout', 'wait'],
      args: ['cid'],
    },
  ])
  assert.deepEqual([many.code, many.out, many.err], [0, '', ''])
  const { calls } = await call('pin add -w=false a - b --help=false -- -r')
  assert.deepEqual(calls, [
    { host: '/ip4', values: [1, true, 1n, '', 0], given: ['wait'], args: ['a', '-', 'b', '-r'] },
  ])
})

test('flags of the program stand before the command', async () => {
  assert.match((await call('id --host x')).out, /^Incorrect Usage: flag provided but not defined: -host\n/)
  assert.equal((await call('-- id')).calls.length, 1)
  assert.equal((await call('-- --version')).err, "No help topic for '--version'\n")
})

test('integers are read with the base that they name', async () => {
  const read = async (value: string) => (await call(`pin add -r ${value}`)).calls[0]?.values
  for (const [value, number] of [
    ['0', 0],
    ['-0', 0],
    ['+12', 12],
    ['-12', -12],
    ['0x1F', 31],
    ['-0b11', -3],
    ['0o17', 15],
    ['017', 15],
  ] as const) {
    assert.deepEqual(await read(value), [number + 1, true, 1n, '', 0], value)
  }
  for (const value of ['08', '1.5', '1e3', '0x', '9'.repeat(20)]) assert.equal(await read(value), undefined)
})

test('the environment stands in for a flag that is not given', async () => {
  const host = async (line: string, env: Record<string, string>) => (await call(line, { env })).calls[0]?.host
  assert.equal(await host('id', { TOOL_HOST: 'env' }), 'env')
  assert.equal(await host('--host given id', { TOOL_HOST: 'env' }), 'given')
  assert.equal(await host('id', { TOOL_HOST: '' }), '/ip4')
  assert.equal(await host('id', {}), '/ip4')
  const { calls } = await call('pin add', { env: { TOOL_NAME: 'abc' } })
  assert.deepEqual(calls[0]?.values, [1, true, 1n, '', 3])
  const bad = await call('id', { env: { TOOL_TIMEOUT: 'x' } })
  assert.match(bad.out, /^Incorrect Usage\. invalid value "x" for flag -timeout: parse error\n/)
})

const WRONG: readonly (readonly [string, string])[] = [
  ['--bogus id', 'Incorrect Usage. flag provided but not defined: -bogus'],
  ['-t a id', 'Incorrect Usage. invalid value "a" for flag -t: parse error'],
  ['--timeout', 'Incorrect Usage. flag needs an argument: -timeout'],
  ['---x', 'Incorrect Usage. bad flag syntax: ---x'],
  ['--help --bogus', 'Incorrect Usage. flag provided but not defined: -bogus'],
  ['-h=x', 'Incorrect Usage. invalid boolean value "x" for -h: parse error'],
  ['pin --bogus', 'Incorrect Usage. flag provided but not defined: -bogus'],
  ['pin add --nope', 'Incorrect Usage: flag provided but not defined: -nope'],
  ['pin add -r abc x', 'Incorrect Usage: invalid value "abc" for flag -r: parse error'],
  ['pin add --wait-timeout 5 x', 'Incorrect Usage: invalid value "5" for flag -wait-timeout: parse error'],
  ['pin add -w=x', 'Incorrect Usage: invalid boolean value "x" for -w: parse error'],
  ['pin add -r', 'Incorrect Usage: flag needs an argument: -r'],
]

test('a usage error is said before the help of what is wrong, with the exit code of the program', async () => {
  for (const [line, message] of WRONG) {
    for (const usageExitCode of [0, 1]) {
      const { code, out, err, calls } = await call(line, { app: { usageExitCode } })
      assert.deepEqual([code, err, calls], [usageExitCode, '', []], line)
      const subject = line.startsWith('pin add')
        ? 'tool pin add'
        : line.startsWith('pin')
          ? 'tool pin'
          : 'tool'
      assert.ok(out.startsWith(`${message}\n\nNAME:\n   ${subject} - `), out)
    }
  }
})

test('an unknown command is a missing topic, or help that fails', async () => {
  const help = { unknownCommand: 'help' } as const
  const missing = { code: 3, out: '', err: "No help topic for 'nope'\n", calls: [] }
  assert.deepEqual(await call('nope'), missing)
  assert.deepEqual(await call(''), { code: 0, out: HELP, err: '', calls: [] })
  for (const line of ['', 'nope', '--']) {
    assert.deepEqual(await call(line, { app: help }), { code: 1, out: HELP, err: '', calls: [] }, line)
  }
  for (const app of [{}, help]) {
    for (const line of ['pin nope', 'help nope', 'pin help nope']) {
      assert.deepEqual(await call(line, { app }), missing)
    }
    for (const line of ['help', 'h', '--help', '-h nope', '-h -v']) {
      assert.deepEqual(await call(line, { app }), { code: 0, out: HELP, err: '', calls: [] }, line)
    }
    assert.equal((await call('id', { app })).calls.length, 1)
  }
})

test('help of groups and commands', async () => {
  const pin = `NAME:
   tool pin - pins

USAGE:
   tool pin command [command options] [arguments...]

COMMANDS:
   add  adds

OPTIONS:
   --help, -h  show help
`
  for (const line of ['help pin', 'pin', 'pin --help', 'pin help', 'pin h', 'pin -h nope']) {
    assert.deepEqual(await call(line), { code: 0, out: pin, err: '', calls: [] }, line)
  }
  const add = `NAME:
   tool pin add - adds

USAGE:
   tool pin add [command options] <CID>

DESCRIPTION:
   Adds a pin.

   And waits.

OPTIONS:
   --replication value, -r value     copies (default: 0)
   --wait, -w                        wait
   --wait-timeout value, --wt value  how long (default: 0s)
   --metadata value                  k=v
   --name value                      its name [$TOOL_NAME]
`
  for (const line of ['pin add --help', 'pin add x -h', 'pin help add']) {
    assert.deepEqual(await call(line), { code: 0, out: add, err: '', calls: [] }, line)
  }
  const id = 'NAME:\n   tool id - who\n\nUSAGE:\n   tool id [arguments...]\n'
  assert.equal((await call('help id')).out, id)
})

test('the version', async () => {
  for (const line of ['--version', '-v', '-v id']) {
    assert.deepEqual(await call(line), { code: 0, out: 'tool version 1.2.3\n', err: '', calls: [] })
  }
  assert.equal((await call('--version=false id')).calls.length, 1)
})

test('every command is listed by its full name', () => {
  assert.deepEqual(commandNames('tool', COMMANDS), [
    'tool id',
    'tool pin',
    'tool pin add',
    'tool secret',
    'tool help',
  ])
})
