import assert from 'node:assert/strict'
import { test } from 'node:test'
import { commandNames, runProgram, type Invocation, type Program } from './cli.ts'

let last: Invocation | undefined
const run = (invocation: Invocation) => {
  last = invocation
  return Promise.resolve(0)
}

const PROGRAM: Program = {
  name: 'tool',
  usage: 'does things',
  version: '1.2.3',
  description: 'What it does.\n\nAnd how.',
  usageExitCode: 1,
  unknownCommand: 'topic',
  flags: [
    { name: 'host', aliases: ['l'], kind: 'string', initial: '/ip4', usage: 'where', env: 'TOOL_HOST' },
    { name: 'timeout', aliases: ['t'], kind: 'int', usage: 'seconds' },
  ],
  commands: [
    { name: 'id', usage: 'who', run },
    {
      name: 'pin',
      usage: 'pins',
      commands: [
        {
          name: 'add',
          usage: 'adds',
          argsUsage: '<CID>',
          description: 'Adds a pin.',
          flags: [
            { name: 'replication', aliases: ['r'], kind: 'int', usage: 'copies' },
            { name: 'wait', aliases: ['w'], kind: 'bool', usage: 'wait' },
            { name: 'wait-timeout', aliases: ['wt'], kind: 'duration', usage: 'how long' },
            { name: 'metadata', kind: 'list', usage: 'k=v' },
          ],
          run,
        },
      ],
    },
    { name: 'secret', usage: 'hidden', hidden: true, run },
  ],
}

async function call(argv: readonly string[], env: Record<string, string> = {}) {
  let out = ''
  let err = ''
  last = undefined
  const code = await runProgram(PROGRAM, argv, {
    out: text => (out += text),
    err: text => (err += text),
    env,
  })
  return { code, out, err }
}

test('flags stand before or behind the arguments, with one dash or two', async () => {
  await call([
    '-l',
    'x',
    'pin',
    'add',
    'cid',
    '-r=3',
    '--metadata',
    'a=b',
    '-wt',
    '2s',
    '--metadata=c=d',
    '-w',
  ])
  assert.equal(last?.global.string('host'), 'x')
  assert.deepEqual(last?.args, ['cid'])
  assert.equal(last?.flags.int('replication'), 3)
  assert.equal(last?.flags.bool('wait'), true)
  assert.equal(last?.flags.duration('wait-timeout'), 2000)
  assert.deepEqual(last?.flags.list('metadata'), ['a=b', 'c=d'])
  await call(['pin', 'add', '-w=false', '--', '-r'])
  assert.deepEqual([last?.args, last?.flags.bool('wait'), last?.flags.isSet('wait')], [['-r'], false, true])
})

test('the environment stands in for a flag that is not given', async () => {
  await call(['id'], { TOOL_HOST: 'env' })
  assert.equal(last?.global.string('host'), 'env')
  await call(['--host', 'given', 'id'], { TOOL_HOST: 'env' })
  assert.equal(last?.global.string('host'), 'given')
  await call(['id'])
  assert.equal(last?.global.string('host'), '/ip4')
})

test('usage errors and unknown commands say and exit as the Go programs do', async () => {
  const bad = await call(['pin', 'add', '--nope'])
  assert.equal(bad.code, 1)
  assert.match(
    bad.out,
    /^Incorrect Usage: flag provided but not defined: -nope\n\nNAME:\n {3}tool pin add - adds\n/,
  )
  assert.match(
    (await call(['-t', 'a', 'id'])).out,
    /^Incorrect Usage\. invalid value "a" for flag -t: parse error\n/,
  )
  assert.match((await call(['pin', 'add', '-r'])).out, /flag needs an argument: -r/)
  assert.match((await call(['pin', 'add', '-w=x'])).out, /invalid boolean value "x" for -w: parse error/)
  assert.deepEqual(await call(['nope']), { code: 3, out: '', err: "No help topic for 'nope'\n" })
  assert.deepEqual(await call(['pin', 'nope']), { code: 3, out: '', err: "No help topic for 'nope'\n" })
})

test('help pages have the layout of the Go programs', async () => {
  assert.equal(
    (await call([])).out,
    `NAME:
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
   --host value, -l value     where (default: "/ip4") [$TOOL_HOST]
   --timeout value, -t value  seconds (default: 0)
   --help, -h                 show help
   --version, -v              print the version
`,
  )
  const add = await call(['pin', 'add', '--help'])
  assert.equal(add.code, 0)
  assert.match(add.out, /\n {3}--wait-timeout value, --wt value {2}how long \(default: 0s\)\n/)
  for (const argv of [['help', 'pin'], ['pin'], ['pin', '--help'], ['pin', 'help']]) {
    assert.match((await call(argv)).out, /^NAME:\n {3}tool pin - pins\n/)
  }
  assert.equal((await call(['--version'])).out, 'tool version 1.2.3\n')
})

test('every command is listed by its full name', () => {
  assert.deepEqual(commandNames(PROGRAM), ['tool id', 'tool pin', 'tool pin add', 'tool secret', 'tool help'])
})
