/** Every exit code, with what is printed where. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RouteHandlers } from '@ipfs-cluster/api'
import { HttpError, serveRoutes } from '@ipfs-cluster/api/test-server'
import { A, handlers, V0 } from './test-peer.ts'
import { against, ctl, hostOf } from './test-run.ts'

const OURS = import.meta.filename

/** What is wrong here, and not at the peer: stderr and 1. */
const LOCAL: readonly (readonly [line: string, stderr: string | RegExp])[] = [
  ['add', 'error : need at least one path\n'],
  [
    `add -w --format car ${OURS}`,
    'error : only a single CAR file can be added and wrap-with-directory is not supported\n',
  ],
  [
    `add --format car ${OURS} ${OURS}`,
    'error : only a single CAR file can be added and wrap-with-directory is not supported\n',
  ],
  ['add /', 'error : / is a directory, but Recursive option is not set\n'],
  ['add /no/such/file', /^error : lstat \/no\/such\/file: no such file or directory\n$/],
  [`add --nocopy ${OURS}`, 'error : nocopy option is only valid for URLs\n'],
  [`add --expire-in x ${OURS}`, 'error parsing expire-in: time: invalid duration "x"\n'],
  [`add --metadata x ${OURS}`, 'error parsing metadata: metadata were not in the format key=value\n'],
  [`pin add --metadata x ${V0}`, 'error parsing metadata: metadata were not in the format key=value\n'],
  [`pin add --allocs ${A},x ${V0}`, 'error decoding allocations: some peer IDs could not be decoded\n'],
  [`pin add --expire-in 5 ${V0}`, /^error parsing expire-in: time: .*duration "5"\n$/],
  ['pin add', 'error : invalid path "/ipfs/": path does not have enough components\n'],
  ['pin add x', /^error : invalid path "\/ipfs\/x": /],
  [`pin add /odd/${V0}`, /^error : invalid path "\/odd\//],
  ['pin rm', 'error : invalid path "/ipfs/": path does not have enough components\n'],
  [`pin update x ${V0}`, /^error parsing from Cid: invalid cid: /],
  ['pin update', /^error parsing from Cid: invalid cid: /],
  [`pin update ${V0}`, 'error : invalid path "/ipfs/": path does not have enough components\n'],
  ['pin ls x', /^error parsing cid: invalid cid: /],
  [`pin ls --limit 1 ${V0}`, 'error : give a CID or say which pins to list, not both\n'],
  ['pin ls --limit -1', 'error parsing flags: parameter limit must be a whole number of at least 1\n'],
  ['pin ls --match prefix', 'error parsing flags: parameter match needs a name\n'],
  ['pin ls --name a --match odd', /^error parsing flags: parameter match must be one of exact, /],
  ['pin ls --metadata x', 'error parsing metadata: metadata were not in the format key=value\n'],
  ['pin ls --peer x', /^error parsing flags: parameter peer cannot be read: /],
  ['pin ls --after today', /^error parsing flags: parameter after cannot be read: parsing time "today"/],
  ['pin ls --cursor x', /^error parsing flags: parameter cursor cannot be read: invalid cid/],
  [`status ${V0} x`, /^error parsing cid: invalid cid: /],
  ['status --filter odd', 'error parsing filter flag: invalid filter name\n'],
  ['recover x', /^error parsing cid: invalid cid: /],
  ['peers rm', /^error parsing peer ID: /],
  ['peers rm x', /^error parsing peer ID: /],
  ['health graph -f /no/such/folder/x', /^error creating output file: open \/no\/such\/folder\/x: /],
  ['completion', 'error : need the name of a shell: bash, zsh, fish\n'],
  ['completion tcsh', 'error : need the name of a shell: bash, zsh, fish\n'],
]

for (const [line, expected] of LOCAL) {
  test(`1, on stderr: ${line.replaceAll(OURS, 'file')}`, async () => {
    const { code, stdout, stderr } = await against({}, line)
    assert.deepEqual([code, stdout], [1, ''])
    if (typeof expected === 'string') assert.equal(stderr, expected)
    else assert.match(stderr, expected)
  })
}

test('1, on stderr, in whatever encoding: an encoding that is none', async () => {
  for (const line of ['--enc xml id', '--enc= id', '--encoding JSON id', '--enc xml']) {
    const outcome = await ctl(line.split(' '))
    assert.deepEqual(outcome, { code: 1, stdout: '', stderr: 'error : unsupported encoding\n' }, line)
  }
})

test('1, on stdout: no answer', async () => {
  const words = ['--host', '/ip4/127.0.0.1/tcp/1']
  const message = 'GET http://127.0.0.1:1/id: connection refused'
  const text = `An error occurred:\n  Code: 0\n  Message: ${message}\n`
  assert.deepEqual(await ctl([...words, 'id']), { code: 1, stdout: text, stderr: '' })
  const json = `{\n    "code": 0,\n    "message": "${message}"\n}\n`
  assert.deepEqual(await ctl([...words, '--enc', 'json', 'id']), { code: 1, stdout: json, stderr: '' })
})

test('2, on stdout: the peer answers with an error, whatever the command', async () => {
  const deny = () => {
    throw new HttpError(401, 'Unauthorized')
  }
  const broken = Object.fromEntries(
    Object.keys(handlers).map(name => [name, deny]),
  ) as unknown as RouteHandlers
  await using server = await serveRoutes(broken)
  const lines = [
    'id',
    'peers ls',
    `peers rm ${A}`,
    `add ${OURS}`,
    `pin add ${V0}`,
    `pin rm ${V0}`,
    `pin update ${V0} ${V0}`,
    'pin ls',
    `pin ls ${V0}`,
    'status',
    `status ${V0}`,
    `status ${V0} ${V0}`,
    'recover',
    `recover ${V0}`,
    'version',
    'health graph',
    'health metrics',
    'health metrics ping',
    'health alerts',
    'health bandwidth',
    'ipfs gc',
  ]
  const text = 'An error occurred:\n  Code: 401\n  Message: Unauthorized\n'
  const json = '{\n    "code": 401,\n    "message": "Unauthorized"\n}\n'
  for (const line of lines) {
    const words = ['--host', hostOf(server.url)]
    assert.deepEqual(await ctl([...words, ...line.split(' ')]), { code: 2, stdout: text, stderr: '' }, line)
    const programs = await ctl([...words, '--enc', 'json', ...line.split(' ')])
    assert.deepEqual(programs, { code: 2, stdout: json, stderr: '' }, line)
  }
})

test('2: the peer judges what only it can know', async () => {
  for (const flag of ['--format=odd', '--layout=odd', '--chunker=odd']) {
    const refuse = () => {
      throw new HttpError(400, 'bad parameter')
    }
    const outcome = await against({ add: refuse }, `add ${flag} ${OURS}`)
    assert.equal(outcome.code, 2, flag)
    assert.match(outcome.stdout, /^An error occurred:\n {2}Code: 400\n/)
  }
})

test('3: no such command', async () => {
  for (const line of [
    'nothing',
    'peers add',
    'pin nothing',
    'health nothing',
    'ipfs nothing',
    'help nothing',
  ]) {
    const name = line.split(' ').at(-1)
    const stderr = `No help topic for '${name}'\n`
    assert.deepEqual(await ctl(line.split(' ')), { code: 3, stdout: '', stderr }, line)
  }
})
