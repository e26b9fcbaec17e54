import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import {
  boolean,
  command,
  commandNames,
  completionCommand,
  completionScript,
  group,
  integer,
  SHELLS,
  text,
  type Command,
} from './index.ts'

const flags = {
  host: text('host, l', "the peer's address"),
  encoding: text('encoding, enc', 'how', 'text', { choices: ['text', 'json'] }),
  debug: boolean('debug, d', 'log'),
}

const COMMANDS: readonly Command<unknown>[] = [
  command({ name: 'id', usage: 'who: [you]', run: async () => undefined }),
  group<unknown>({
    name: 'pin',
    usage: 'pins',
    commands: [
      command({
        name: 'add',
        usage: 'adds',
        flags: {
          limit: integer('wait-limit, wl', 'how many'),
          mode: text('mode', 'how', '', { choices: ['direct', 'recursive'] }),
        },
        run: async () => undefined,
      }),
      command({
        name: 'ls',
        usage: 'lists',
        flags: { filter: text('filter', 'some', '', { choices: ['all', 'pin', 'pinned'], list: true }) },
        argChoices: ['first', 'second'],
        run: async () => undefined,
      }),
    ],
  }),
  command({ name: 'secret', usage: 'hidden', hidden: true, run: async () => undefined }),
  completionCommand('my-tool', () => table),
]

const table = { flags, commands: COMMANDS }
const program = { name: 'my-tool', ...table }

/** What bash offers for a command line, the last word of which is being typed; words as bash splits them. */
function completeInBash(...words: readonly string[]): string[] {
  const line = words.map(word => `'${word}'`).join(' ')
  const script = `${completionScript(program, 'bash')}
COMP_WORDS=(my-tool ${line}); COMP_CWORD=${words.length}; _my_tool; printf '%s\\n' "\${COMPREPLY[@]}"`
  const { status, stdout, stderr } = spawnSync('bash', ['--norc', '-c', script], { encoding: 'utf8' })
  assert.deepEqual([status, stderr], [0, ''], script)
  return stdout.split('\n').filter(word => word !== '')
}

const CASES: readonly (readonly [words: readonly string[], offered: readonly string[]])[] = [
  [[''], ['id', 'pin', 'completion', 'help']],
  [['p'], ['pin']],
  [['-'], ['--host', '-l', '--encoding', '--enc', '--debug', '-d', '--help', '-h', '--version', '-v']],
  [['--e'], ['--encoding', '--enc']],
  [
    ['--enc', ''],
    ['text', 'json'],
  ],
  [['-encoding', 'j'], ['json']],
  [['--enc', '=', 'te'], ['text']],
  [
    ['--enc', '='],
    ['text', 'json'],
  ],
  [['--host', ''], []],
  [
    ['--host', 'pin', ''],
    ['id', 'pin', 'completion', 'help'],
  ],
  [
    ['--host', '=', 'x', 'pin', ''],
    ['add', 'ls', 'help'],
  ],
  [['-d', 'pin', 'a'], ['add']],
  [['pin', '--'], ['--help']],
  [
    ['pin', 'add', '--'],
    ['--wait-limit', '--wl', '--mode', '--help'],
  ],
  [['pin', 'add', '--wl', '3', 'QmX', '--mode', 'd'], ['direct']],
  [['pin', 'add', ''], []],
  [
    ['pin', 'ls', ''],
    ['first', 'second'],
  ],
  [
    ['pin', 'ls', '--filter', 'pin'],
    ['pin', 'pinned'],
  ],
  [
    ['pin', 'ls', '--filter', 'all,p'],
    ['all,pin', 'all,pinned'],
  ],
  [['pin', 'ls', '--filter', '=', 'all,pin,a'], ['all,pin,all']],
  [
    ['completion', ''],
    ['bash', 'zsh', 'fish'],
  ],
  [
    ['nothing', ''],
    ['id', 'pin', 'completion', 'help'],
  ],
]

for (const [words, offered] of CASES) {
  test(`bash completes: ${words.join(' ')}`, () => assert.deepEqual(completeInBash(...words), offered))
}

test('every shell reads its script, where it is installed', context => {
  for (const shell of SHELLS) {
    const script = completionScript(program, shell)
    const { status, stderr, error } = spawnSync(shell, ['-n'], { input: script, encoding: 'utf8' })
    if (error === undefined) assert.deepEqual([status, stderr], [0, ''], shell)
    else context.diagnostic(`${shell} is not installed`)
  }
})

test('the scripts of zsh and fish name everything, and end all that they open', () => {
  const zsh = completionScript(program, 'zsh')
  assert.match(zsh, /^#compdef my-tool\n/)
  assert.match(zsh, /'id:who: \[you\]'/)
  assert.match(zsh, /compdef _my_tool my-tool/)
  const fish = completionScript(program, 'fish')
  assert.match(fish, /^complete -c my-tool -n '__my_tool_at \\' pin\\'' -f -a 'add' -d 'adds'$/m)
  assert.match(fish, /^complete .* -l encoding -l enc -x -a 'text json' -d 'how'$/m)
  assert.match(fish, /^complete .* -l host -s l -r -d 'the peer\\'s address'$/m)
  for (const script of [zsh, fish]) {
    for (const word of ['pin', 'add', 'ls', 'wait-limit', 'recursive', 'pinned', 'second']) {
      assert.ok(script.includes(word), word)
    }
    assert.doesNotMatch(script, /secret/)
  }
  const count = (text: string, word: RegExp) => text.match(word)?.length ?? 0
  const code = zsh.replace(/'(?:[^']|'\\'')*'/g, 'text')
  for (const [open, close] of [
    [/\bcase\b/g, /\besac\b/g],
    [/\bif\b/g, /\bfi\b/g],
    [/\bdo\b/g, /\bdone\b/g],
    [/\{/g, /\}/g],
  ] as const) {
    assert.equal(count(code, open), count(code, close), `${open}`)
  }
  const opened = count(fish, /^\s*(function|for|if|switch)\b/gm)
  assert.equal(count(fish, /^\s*end\b/gm), opened)
})

test('the command prints a script for a known shell, and is not among the names that Go has', async () => {
  const own = completionCommand('my-tool', () => table)
  let printed = ''
  const output = { stdout: async (out: string) => void (printed += out), stderr: async () => undefined }
  const parsed = { values: {}, given: new Set<string>(), help: false }
  await own.run(undefined, { ...parsed, args: ['fish'] }, output)
  assert.equal(printed, completionScript(program, 'fish'))
  await assert.rejects(own.run(undefined, { ...parsed, args: ['tcsh'] }, output), /bash, zsh, fish/)
  await assert.rejects(own.run(undefined, { ...parsed, args: [] }, output), /bash, zsh, fish/)
  assert.ok(!commandNames('my-tool', COMMANDS).includes('my-tool completion'))
})
