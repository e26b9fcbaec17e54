import { newPin, type AddedOutput, type RouteHandlers } from '@ipfs-cluster/api'
import { HttpError, serveRoutes } from '@ipfs-cluster/api/test-server'
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import recorded from './fixtures/go-ctl.json' with { type: 'json' }
import { A, handlers, statusOf, V0, V1 } from './test-peer.ts'
import { against, ctl, hostOf } from './test-run.ts'

const home = process.cwd()
const folder = mkdtempSync(join(tmpdir(), 'ctl-'))

before(() => {
  process.chdir(folder)
  mkdirSync('d/sub/.hid', { recursive: true })
  mkdirSync('empty')
  writeFileSync('d/a.txt', 'hi\n')
  writeFileSync('d/.h', 'x')
  writeFileSync('d/sub/b c+ü.txt', 'y')
  writeFileSync('d/sub/big', new Uint8Array(1_000_000))
  symlinkSync('a.txt', 'd/l')
})

after(() => {
  process.chdir(home)
  rmSync(folder, { recursive: true })
})

for (const { args, code, stdout, stderr } of recorded) {
  test(`as Go's ctl prints it: ${args.join(' ')}`, async () => {
    await using server = await serveRoutes(handlers)
    const outcome = await ctl(['--host', hostOf(server.url), ...args])
    // Help texts are our own; of those only the first line was recorded.
    const isHelp = /^(NAME:|Incorrect Usage)/.test(stdout)
    // One command more than in Go.
    const ours = outcome.stdout.replace('ipfs-cluster-ctl export\n', '')
    const printed = isHelp ? `${outcome.stdout.split('\n')[0]}\n` : ours
    assert.deepEqual({ ...outcome, stdout: printed }, { code, stdout, stderr })
  })
}

test('what reaches the peer', async () => {
  await using server = await serveRoutes(handlers)
  const host = hostOf(server.url)
  const sent = async (line: string) => {
    await ctl(['--host', host, ...line.split(' ')])
    const { method, url } = server.requests.at(-1) ?? { method: '', url: '' }
    const { pathname, searchParams } = new URL(url, server.url)
    return [`${method} ${pathname}`, Object.fromEntries(searchParams)] as const
  }
  const [pin, query] = await sent(
    `pin add ${V0} --wait=false --name n -r 3 --rmin 1 --mode=direct --metadata a=b=c --allocs ${A} --ns`,
  )
  assert.equal(pin, `POST /pins/ipfs/${V0}`)
  assert.deepEqual(query, {
    mode: 'direct',
    name: 'n',
    'meta-a': 'b=c',
    'replication-max': '3',
    'replication-min': '3',
    'shard-size': '0',
    'user-allocations': A,
  })
  assert.equal((await sent(`pin update ${V0} ${V1} --ns`))[1]['pin-update'], V0.toString())
  const [expiring] = (await sent(`pin add --expire-in 1h --ns ${V0}`)).slice(1) as [Record<string, string>]
  const seconds = (Date.parse(expiring['expire-at'] ?? '') - Date.now()) / 1000
  assert.ok(Math.abs(seconds - 3600) < 60, `${seconds}`)
  const [add, params] = await sent(
    `add d/a.txt d/sub/big --hash sha3-512 --local --no-pin -n x -s rabin --hidden`,
  )
  assert.equal(add, 'POST /add')
  const wanted = { hash: 'sha3-512', 'cid-version': '1', 'raw-leaves': 'true', 'wrap-with-directory': 'true' }
  const flags = {
    local: 'true',
    'no-pin': 'true',
    name: 'x',
    chunker: 'rabin',
    hidden: 'true',
    shard: 'false',
  }
  assert.deepEqual({ ...params, ...wanted, ...flags }, params)
  const [, sharding] = await sent('add d/a.txt --shard --shard-size 1.5MB')
  assert.deepEqual({ ...sharding, shard: 'true', 'shard-size': '1500000' }, sharding)
  assert.deepEqual(await sent(`status --local --filter pinned,error`), [
    'GET /pins',
    { local: 'true', cids: '', filter: 'cluster_error,pin_error,unpin_error,pinned,error' },
  ])
  assert.deepEqual(await sent('pin ls --filter pin,shard-pin'), [
    'GET /allocations',
    { filter: 'pin,shard-pin' },
  ])
  assert.deepEqual(
    await sent(
      `pin ls --name ab --match prefix --metadata k=v --peer ${A} --after 2026-01-02T00:00:00Z --limit 3 --cursor ${V0},abc`,
    ),
    [
      'GET /allocations',
      {
        filter: 'all',
        name: 'ab',
        match: 'prefix',
        meta: '{"k":"v"}',
        peer: A,
        after: '2026-01-02T00:00:00Z',
        limit: '3',
        cursor: `${V0},abc`,
      },
    ],
  )
  assert.deepEqual(await sent('ipfs gc --local'), ['POST /ipfs/gc', { local: 'true' }])
})

test('an upload keeps order, names, links and bytes', async () => {
  const parts: string[] = []
  async function* add({ parts: source }: Parameters<RouteHandlers['add']>[0]): AsyncGenerator<AddedOutput> {
    for await (const part of source) {
      const chunks = await Array.fromAsync(part.content)
      const bytes = Buffer.concat(chunks)
      parts.push(`${part.kind} ${part.path} ${bytes.length > 10 ? bytes.length : bytes.toString()}`)
    }
    yield { name: 'd', cid: V1, bytes: 0n, size: 0n, allocations: [] }
  }
  const outcome = await against({ add }, 'add -r -H d')
  assert.deepEqual(outcome, { code: 0, stdout: `added ${V1} d\n`, stderr: '' })
  assert.deepEqual(parts, [
    'directory d ',
    'file d/.h x',
    'file d/a.txt hi\n',
    'symlink d/l a.txt',
    'directory d/sub ',
    'directory d/sub/.hid ',
    'file d/sub/b c+ü.txt y',
    'file d/sub/big 1000000',
  ])
})

test('URLs are fetched, and named in what fails', async () => {
  await using web = await serveRoutes({ metrics: () => [] })
  const page = `${web.url}/monitor/metrics/some%20file`
  const { stdout } = await against({}, `add ${page}`)
  assert.equal(stdout, `added ${V1} file some file\n`)
  const missing = await against({}, `add ${web.url}/nothing`)
  assert.deepEqual(missing, {
    code: 1,
    stdout: '',
    stderr: `error : got non-2XX status code 404: ${web.url}/nothing\n`,
  })
  let absPath: string | undefined
  await against(
    {
      async *add({ parts, params }) {
        assert.equal(params.rawLeaves, true)
        for await (const part of parts) absPath = part.absPath
        yield* []
      },
    },
    `add --nocopy ${page}`,
  )
  assert.equal(absPath, page)
})

test('an upload that fails after its outputs tells both', async () => {
  const failing: Partial<RouteHandlers> = {
    async *add(input) {
      yield* handlers.add(input, {}) as AsyncIterable<AddedOutput>
      throw new Error('cannot pin')
    },
  }
  const error = 'An error occurred:\n  Code: 500\n  Message: cannot pin\n'
  const plain = await against(failing, 'add d/a.txt')
  assert.deepEqual(plain, { code: 2, stdout: `added ${V1} file a.txt\n${error}`, stderr: '' })
  assert.deepEqual(await against(failing, 'add -Q d/a.txt'), {
    code: 2,
    stdout: `${V1}\n${error}`,
    stderr: '',
  })
})

test('a status that cannot be had is an error and nothing else', async () => {
  const broken: Partial<RouteHandlers> = {
    status() {
      throw new HttpError(500, 'no')
    },
  }
  const error = 'An error occurred:\n  Code: 500\n  Message: no\n'
  assert.deepEqual(await against(broken, `status ${V0}`), { code: 2, stdout: error, stderr: '' })
  assert.deepEqual(await against(broken, `pin add ${V0}`), { code: 2, stdout: error, stderr: '' })
  const waiting = await against(broken, `pin add --wait ${V0}`)
  assert.deepEqual(waiting, { code: 1, stdout: '', stderr: 'error waiting for pin status: no\n' })
})

test('waiting: until done, up to a limit, up to a time', async () => {
  const { [A]: pinned } = statusOf(V0).peerMap
  assert.ok(pinned !== undefined)
  const states = (...all: number[]) =>
    Object.fromEntries(all.map((status, i) => [`${A}${i}`, { ...pinned, ipfs: '', status }]))
  const peerIds = [A, '12D3KooWAuRYCfgCKTyZpxJNuxPZ7fisG7J9eZPMDBZPESVoXFbT']
  const info = (...all: number[]) => ({
    ...statusOf(V0),
    peerMap: Object.fromEntries(Object.values(states(...all)).map((entry, i) => [peerIds[i], entry])),
  })
  const sequence = (...steps: number[][]): Partial<RouteHandlers> => ({
    status: () => info(...((steps.length > 1 ? steps.shift() : steps[0]) ?? [])),
    pinPath: () => newPin(V0, { replicationFactorMin: 2 }),
  })
  const done = await against(sequence([512, 32], [16, 32], [16, 16]), `pin add --wait ${V0}`)
  assert.equal(done.code, 0)
  assert.equal(done.stdout.match(/: PINNED /g)?.length, 2)
  const limited = await against(sequence([512, 32], [16, 32]), `pin add --wait --wait-limit 1 ${V0}`)
  assert.match(limited.stdout, /: PINNED .*\n.*: PINNING /)
  const late = await against(sequence([32, 32]), `pin add --wait --wait-timeout 2s ${V0}`)
  assert.equal(late.code, 62)
  assert.match(late.stderr, /^error waiting for pin status: /)
  const removed = await against(sequence([64], [128]), `pin rm --wait --wait-timeout 2s ${V0}`)
  assert.match(removed.stdout, /: UNPINNED /)
  const added = await against(
    { ...sequence([32, 32], [16, 32]), allocation: () => newPin(V1, { replicationFactorMin: 1 }) },
    'add --wait d/a.txt',
  )
  assert.deepEqual(added, { code: 0, stdout: `added ${V1} file a.txt\n`, stderr: '' })
})

test('add: what did not go well in an add that did goes to stderr', async () => {
  const output = { name: 'f', cid: V1, bytes: 0n, size: 1n, allocations: [A], warnings: ['B is behind'] }
  const add: RouteHandlers['add'] = async function* ({ parts }) {
    for await (const { content } of parts) for await (const _ of content);
    yield output
  }
  const plain = await against({ add }, `add ${import.meta.filename}`)
  assert.deepEqual(plain, { code: 0, stdout: `added ${V1} f\n`, stderr: 'warning: B is behind\n' })
  const json = await against({ add }, `--enc json add ${import.meta.filename}`)
  assert.deepEqual([JSON.parse(json.stdout).warnings, json.stderr], [['B is behind'], ''])
})

test('graph into a file', async () => {
  const { stdout } = await against({}, 'health graph')
  const written = await against({}, 'health graph --file graph.dot')
  assert.deepEqual(written, { code: 0, stdout: '', stderr: '' })
  assert.equal(readFileSync('graph.dot', 'utf8'), stdout)
  const { code, stderr } = await against({}, 'health graph --file nowhere/graph.dot')
  assert.deepEqual(
    [code, stderr],
    [1, 'error creating output file: open nowhere/graph.dot: no such file or directory\n'],
  )
})

test('help of everything: layout and width', async () => {
  const { stdout: names } = await ctl(['commands'])
  const lines = ['ipfs-cluster-ctl', ...names.trim().split('\n')]
  assert.equal(lines.length, 24)
  for (const line of lines) {
    const words = line.split(' ').slice(1)
    const { code, stdout, stderr } = await ctl([...words, '--help'])
    assert.deepEqual([code, stderr], [0, ''], line)
    assert.match(stdout, /^NAME:\n {3}ipfs-cluster-ctl.*\n\nUSAGE:\n {3}ipfs-cluster-ctl/)
    const longest = Math.max(...stdout.split('\n').map(each => Buffer.byteLength(each)))
    assert.ok(longest <= 120, `${line}: ${longest} columns`)
  }
  const app = await ctl([])
  for (const words of [['-h'], ['help'], ['h'], ['--help']]) assert.deepEqual(await ctl(words), app)
  assert.match(app.stdout, /\nCOMMANDS:\n {3}id {10}\S.*\n/)
  assert.match(app.stdout, /\nGLOBAL OPTIONS:\n {3}--host value, -l value {9}\S/)
  const group = await ctl(['pin'])
  for (const words of [
    ['help', 'pin'],
    ['pin', 'help'],
    ['pin', '-h'],
  ])
    assert.deepEqual(await ctl(words), group)
  assert.deepEqual(await ctl(['pin', 'help', 'add']), await ctl(['pin', 'add', '-h']))
})

const WRONG: readonly (readonly [string, string])[] = [
  ['--bogus id', 'Incorrect Usage. flag provided but not defined: -bogus'],
  ['--timeout abc id', 'Incorrect Usage. invalid value "abc" for flag -timeout: parse error'],
  ['--timeout', 'Incorrect Usage. flag needs an argument: -timeout'],
  ['---x', 'Incorrect Usage. bad flag syntax: ---x'],
  ['pin --bogus', 'Incorrect Usage. flag provided but not defined: -bogus'],
  ['pin add -r abc x', 'Incorrect Usage: invalid value "abc" for flag -r: parse error'],
  ['pin add --wait-timeout 5 x', 'Incorrect Usage: invalid value "5" for flag -wait-timeout: parse error'],
  ['status --local=foo', 'Incorrect Usage: invalid boolean value "foo" for -local: parse error'],
  ['pin add x --name', 'Incorrect Usage: flag needs an argument: -name'],
]

for (const [line, message] of WRONG) {
  test(`wrong usage: ${line}`, async () => {
    const { code, stdout, stderr } = await ctl(line.split(' '))
    assert.deepEqual([code, stderr], [1, ''])
    assert.equal(stdout.split('\n\n')[0], message)
    assert.match(stdout, /\n\nNAME:\n/)
  })
}

test('flags may stand behind arguments, and -- ends them', async () => {
  await using server = await serveRoutes(handlers)
  const host = hostOf(server.url)
  await ctl(['--host', host, 'pin', 'add', '--wait=false', V0.toString(), '-ns', '--name', 'x'])
  assert.match(server.requests[0]?.url ?? '', /name=x/)
  writeFileSync('-odd', 'z')
  const { stdout } = await ctl(['--host', host, 'add', '-q=false', '--', '-odd'])
  assert.equal(stdout, `added ${V1} file -odd\n`)
})

const bin = fileURLToPath(new URL('../bin/ipfs-cluster-ctl.mjs', import.meta.url))

test('the binary: exit code, and quiet when its reader leaves', async () => {
  await using server = await serveRoutes({
    ...handlers,
    async *allocations() {
      for (let i = 0; ; i++) yield newPin(V0, { name: `p${i}` })
    },
  })
  const start = (...words: string[]) => {
    const child = spawn(process.execPath, [bin, '--host', hostOf(server.url), ...words])
    let stderr = ''
    child.stderr.on('data', (text: Buffer) => (stderr += text.toString()))
    const exit = new Promise<number | null>(resolve => child.on('close', resolve))
    return { child, exit, stderr: () => stderr }
  }
  const wrong = start('bogus')
  assert.deepEqual([await wrong.exit, wrong.stderr()], [3, "No help topic for 'bogus'\n"])
  const endless = start('pin', 'ls')
  await new Promise(resolve => endless.child.stdout.once('data', resolve))
  endless.child.stdout.destroy()
  assert.deepEqual([await endless.exit, endless.stderr()], [141, ''])
})
