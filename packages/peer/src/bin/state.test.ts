import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { after, test } from 'node:test'
import { waitFor } from '@ipfs-cluster/testkit'
import { prefixRange, utf8 } from '@ipfs-cluster/base'
import { openLevelStore } from '@ipfs-cluster/base/level-store'
import { STORE_FOLDER } from '../config/index.ts'
import { makePlace, noSignals, service, type Place } from './test-place.ts'

process.env['TZ'] = 'UTC'

const ROOT = mkdtempSync(join(tmpdir(), 'state-'))
const PEER = '12D3KooWAuRYCfgCKTyZpxJNuxPZ7fisG7J9eZPMDBZPESVoXFbT'
const CIDS = [
  'QmUaFyXjZUNaUwYF8rBtbJc7fEJ46aJXvgV8z2HHs6jvmJ',
  'bafkreih5aznjvttude6c3wbvqeebb6rlx5wkbzyppv7garjiubll2ceym4',
  'bafkreia22ju2oq55ag23w5hrgxbtfjfmzghpdjlq3ftpzvviahpg3gxdxq',
]
const IMPORT_QUESTION = 'The pinset (state) of this peer will be replaced. Continue? [y/n]: '
const CLEANUP_QUESTION = 'The peer state will be removed.  Existing pins may be lost. Continue? [y/n]: '

after(() => rmSync(ROOT, { recursive: true }))

const pinLineOf = (cid: string | undefined, name = 'a name') =>
  `{"replication_factor_min":-1,"replication_factor_max":-1,"name":"${name}","mode":"recursive","shard_size":0,"user_allocations":null,` +
  `"expire_at":"0001-01-01T00:00:00Z","metadata":{"a":"b"},"pin_update":null,"origins":[],"cid":"${cid}","type":"pin","allocations":[],` +
  '"max_depth":-1,"reference":null,"timestamp":"2026-07-21T07:34:41Z"}\n'

const PINS = CIDS.map(cid => pinLineOf(cid))

const place = (flags?: string) => makePlace(ROOT, flags)

const inStoreOrder = [PINS[1], PINS[2], PINS[0]].toSorted() as readonly string[]

test('an empty state: nothing to export, no heads, nothing to clean up', async () => {
  const at = await place()
  assert.deepEqual(await at.pins(), [])
  const info = await at.state('crdt info')
  assert.deepEqual(
    [info.code, info.stdout],
    [0, 'Number of heads: 0. Current max-height: 0. Dirty: false\nHeads: []'],
  )
  const dot = await at.state('crdt dot')
  assert.equal(dot.stdout, 'digraph CRDTDAG {\nsubgraph heads {\n}\n}\n')
  assert.equal((await at.state('cleanup -f')).code, 0)
  assert.equal((await at.state('cleanup -f')).code, 0)
  assert.equal(existsSync(at.file('cluster.lock')), false)
})

test('what is imported is exported, to stdout and to a file, in the order of the keys', async () => {
  const at = await place()
  await at.filled(PINS)
  const pins = await at.pins()
  assert.deepEqual(pins.toSorted(), inStoreOrder)
  const cids = pins.map(line => (JSON.parse(line) as { cid: string }).cid)
  assert.deepEqual(cids, [CIDS[2], CIDS[1], CIDS[0]])
  for (const line of [`export -f ${at.file('out')}`, `export --file=${at.file('out')}`]) {
    const { code, stdout, stderr } = await at.state(line)
    assert.deepEqual([code, stdout], [0, ''])
    assert.match(stderr, /\tINFO\tservice\tstate successfully exported\n$/)
    assert.equal(at.read('out'), pins.join(''))
  }
  const { code, stderr } = await at.state(`export -f ${at.file('no/folder')}`)
  assert.equal(code, 1)
  assert.match(stderr, /^error creating output file: ENOENT/)
})

test('import asks, and takes the file or what follows the answer on stdin', async () => {
  const at = await place()
  const pretty = PINS.map(line => JSON.stringify(JSON.parse(line), null, 2)).join(' ')
  const path = at.file('pins.json', pretty)
  for (const answer of ['n\n', 'N\n', '\n', '']) {
    const { code, stdout } = await at.state(`import ${path}`, { input: Readable.from([answer]) })
    assert.deepEqual([code, stdout], [0, IMPORT_QUESTION])
  }
  assert.equal(existsSync(at.store), false)
  const fromFile = await at.state(`import ${path}`, { input: Readable.from(['y\n']) })
  assert.deepEqual([fromFile.code, fromFile.stdout], [0, IMPORT_QUESTION])
  assert.match(fromFile.stderr, /\tstate successfully imported\..*\t\{"pins":3\}\n$/)
  assert.deepEqual((await at.pins()).toSorted(), inStoreOrder)

  const input = Readable.from([Buffer.from(`y\n${PINS[0]}`)], { objectMode: false })
  const fromStdin = await at.state('import', { input })
  assert.deepEqual(
    [fromStdin.code, fromStdin.stdout],
    [0, `${IMPORT_QUESTION}reading from stdin, Ctrl-D to finish\n`],
  )
  assert.deepEqual(await at.pins(), [PINS[0]])
  for (const flags of ['-f', '--force', '-y']) {
    const { code, stdout } = await at.state(`import ${flags} ${path}`)
    assert.deepEqual([code, stdout], [0, ''])
  }
  assert.equal((await service(at.folder, `-f state import ${path}`)).stdout, '')
  assert.equal((await at.pins()).length, 3)
})

test('of pins with the same CID the last counts; an empty input is an empty pinset', async () => {
  const at = await place()
  await at.filled([...PINS, pinLineOf(CIDS[0], 'again')])
  assert.deepEqual((await at.pins()).toSorted(), [PINS[1], PINS[2], pinLineOf(CIDS[0], 'again')].toSorted())
  await at.filled([])
  assert.deepEqual(await at.pins(), [])
})

test('import overrides factors and allocations', async () => {
  const at = await place()
  const path = at.file('pins.json', PINS.join(''))
  const { code } = await at.state(`import -f --rmin 2 ${path} --replication-max=3 --allocs ${PEER},`)
  assert.equal(code, 0)
  for (const line of await at.pins()) {
    const { replication_factor_min, replication_factor_max, allocations } = JSON.parse(line)
    assert.deepEqual([replication_factor_min, replication_factor_max, allocations], [2, 3, [PEER]])
  }
  const bad = await at.state(`import -f --allocations nobody ${path}`)
  assert.equal(bad.code, 1)
  assert.match(bad.stderr, /^error reading the allocations: "nobody": failed to parse peer ID/)
})

const BAD_INPUT: readonly (readonly [string, RegExp])[] = [
  [`${PINS[0]}{"cid":"x"}\n`, /^error importing state: line 2: pin\.cid: invalid cid/],
  [`${PINS[0]}${PINS[1]?.slice(0, 50)}`, /^error importing state: line 2: the object .* does not end\n$/],
  [`[${PINS[0]}]`, /^error importing state: line 1: an object expected, found "\["/],
  [`${PINS[0]}\nnot a pin`, /^error importing state: line 3: an object expected, found "n"/],
]

test('bad input is refused by its line, and changes nothing', async () => {
  const [full, empty] = [await place(), await place()]
  await full.filled(PINS)
  const before = await full.pins()
  for (const at of [full, empty]) {
    const folder = () => readdirSync(at.folder).filter(name => name !== 'pins.json')
    const names = new Set([...folder(), STORE_FOLDER])
    for (const [text, message] of BAD_INPUT) {
      const path = at.file('pins.json', text)
      for (const outside of [{ line: path }, { line: '', input: Readable.from([text]) }]) {
        const { code, stderr } = await at.state(`import -f ${outside.line}`.trim(), outside)
        assert.equal(code, 1)
        assert.match(stderr, message)
      }
      assert.deepEqual(new Set(folder()), names)
    }
    assert.deepEqual(await at.pins(), at === full ? before : [])
  }
  const missing = await full.state(`import -f ${full.file('nowhere')}`)
  assert.equal(missing.code, 1)
  assert.match(missing.stderr, /^error reading import file: ENOENT/)
  const aFolder = await full.state(`import -f ${full.folder}`)
  assert.match(aFolder.stderr, /^error importing state: EISDIR/)
  assert.deepEqual(await full.pins(), before)
})

test('a signal ends whatever waits, at any time, and changes nothing', async () => {
  const at = await place()
  await at.filled(PINS)
  let send: (name: string) => void = () => assert.fail('not listening')
  const onSignal = (handler: (name: string) => void) => {
    send = handler
    return noSignals()
  }
  const input = new PassThrough()
  input.write(PINS[0])
  const importing = at.state('import -f', { input, onSignal })
  await waitFor(() => existsSync(`${at.store}.partial`), { intervalMs: 5, what: 'the new store is begun' })
  send('SIGINT')
  const { code, stderr } = await importing
  assert.deepEqual([code, stderr], [1, 'error importing state: stopped by SIGINT\n'])

  const terminal = new PassThrough()
  const asking = at.state('cleanup', { input: terminal, onSignal })
  await waitFor(() => terminal.listenerCount('data') > 0, { intervalMs: 5, what: 'the question' })
  send('SIGTERM')
  const asked = await asking
  assert.deepEqual(
    [asked.code, asked.stdout, asked.stderr],
    [1, CLEANUP_QUESTION, 'error waiting for an answer: stopped by SIGTERM\n'],
  )
  const atOnce = (handler: (name: string) => void) => {
    handler('SIGHUP')
    return noSignals()
  }
  for (const line of ['cleanup', 'import', 'import -f', 'export', 'crdt dot']) {
    const early = await at.state(line, { input: new PassThrough(), onSignal: atOnce })
    assert.deepEqual([early.code, early.stderr.replace(/.*: /, '')], [1, 'stopped by SIGHUP\n'], line)
  }
  assert.equal((await at.pins()).length, 3)
  assert.deepEqual(
    readdirSync(at.folder).filter(name => name.startsWith('store') || name.endsWith('lock')),
    ['store'],
  )
})

test('cleanup asks, and takes away the store and nothing else', async () => {
  const at = await place()
  await at.filled(PINS)
  const declined = await at.state('cleanup', { input: Readable.from(['n\n']) })
  assert.deepEqual([declined.code, declined.stdout], [0, CLEANUP_QUESTION])
  assert.equal((await at.pins()).length, 3)
  const done = await at.state('cleanup', { input: Readable.from(['y\n']) })
  assert.deepEqual([done.code, done.stdout], [0, CLEANUP_QUESTION])
  assert.deepEqual(readdirSync(at.folder).toSorted(), ['identity.json', 'peerstore', 'service.json'])
  assert.deepEqual(await at.pins(), [])
})

test('the tracker knows nothing of a pinset that is gone', async () => {
  const at = await place()
  const rowsBelow = async (prefix: string) => {
    await using store = await openLevelStore(at.store)
    return (await Array.fromAsync(store.keys(prefixRange(utf8(prefix))))).length
  }
  for (const replace of [() => at.filled([PINS[0] ?? '']), () => at.state('cleanup -f')]) {
    await at.filled(PINS)
    {
      await using store = await openLevelStore(at.store)
      await store.batch([{ type: 'put', key: utf8('/tracker/rx'), value: utf8('row') }])
    }
    await replace()
    assert.equal(await rowsBelow('/tracker/'), 0)
    // One change for each pin, and none for those that went.
    assert.equal(await rowsBelow('state/o'), (await at.pins()).length)
  }
})

test('crdt info, dot and the marks', async () => {
  const at = await place()
  await at.filled(PINS)
  const info = async () => (await at.state('crdt info')).stdout
  const heads = /^Number of heads: 1\. Current max-height: 1\. Dirty: (true|false)\nHeads: \[(bafy\w+)\]$/
  const [, dirty, head = ''] = heads.exec(await info()) ?? []
  assert.equal(dirty, 'false')
  const dot =
    `digraph CRDTDAG {\nsubgraph heads {\n${head}\n}\n${head} [label="1 | ${head.slice(-4)}: +3 -0"]\n${head} -> {}\n` +
    `subgraph sg_${head} {\n}\n}\n`
  assert.equal((await at.state('crdt dot')).stdout, dot)
  assert.equal((await at.state(`crdt dot -f ${at.file('dag.dot')}`)).stdout, '')
  assert.equal(at.read('dag.dot'), dot)
  const marked = await at.state('crdt mark-dirty')
  assert.deepEqual([marked.code, marked.stdout], [0, "Datastore marked 'dirty'\n"])
  assert.equal(heads.exec(await info())?.[1], 'true')
  const cleaned = await at.state('crdt mark-clean')
  assert.deepEqual([cleaned.code, cleaned.stdout], [0, "Datastore marked 'clean'\n"])
  assert.equal(heads.exec(await info())?.[1], 'false')
})

const ALL = [
  'export',
  'import -f',
  'cleanup -f',
  'crdt info',
  'crdt dot',
  'crdt mark-dirty',
  'crdt mark-clean',
]

async function refused(at: Pick<Place, 'state'>, message: string | RegExp, lines = ALL) {
  for (const line of lines) {
    const { code, stdout, stderr } = await at.state(line)
    assert.deepEqual([code, stdout], [1, ''], line)
    if (typeof message === 'string') assert.equal(stderr, message)
    else assert.match(stderr, message)
  }
}

test('while a daemon runs every command is refused in the words of Go', async () => {
  const at = await place()
  await at.filled(PINS)
  {
    await using _running = await openLevelStore(at.store)
    const lock = at.file('cluster.lock')
    await refused(
      at,
      `error obtaining execution lock: lock ${lock}: someone else has the lock. If no other ipfs-cluster-service process is running, ` +
        `remove ${lock}, or make sure that the config folder is writable for the user running ipfs-cluster-service.\n`,
    )
    const { code } = await at.state(`export -f ${at.file('out')}`)
    assert.equal(code, 1)
    assert.equal(existsSync(at.file('out')), false)
  }
  assert.equal((await at.pins()).length, 3)
})

test('without a configuration, and for a Raft peer, every command says so', async () => {
  const folder = join(mkdtempSync(join(ROOT, 'p-')), 'config')
  await refused(
    { state: line => service(folder, `state ${line}`) },
    /^error loading configurations: there is no configuration at .*init"\n$/,
  )
  assert.equal(existsSync(folder), false)
  const raft = await place('--consensus raft')
  await refused(raft, /^error creating state manager: /, ALL.slice(0, 3))
  await refused(
    raft,
    'error : crdt subcommands can only be run on peers initialized with crdt consensus\n',
    ALL.slice(3),
  )
})

test('the pinset of a Go peer is not taken for an empty one', async () => {
  const at = await place()
  mkdirSync(at.file('pebble'))
  await at.state('crdt info')
  await refused(
    at,
    /^error exporting state: the state is empty, and .* holds the datastore of a Go peer \(pebble\)/,
    ['export'],
  )
  await at.filled(PINS)
  assert.equal((await at.pins()).length, 3)
})

test('an import that was cut off between its renames is finished by the next command', async () => {
  const at = await place()
  await at.filled(PINS)
  renameSync(at.store, `${at.store}.next`)
  mkdirSync(`${at.store}.old`)
  assert.equal((await at.pins()).length, 3)
  assert.equal(existsSync(`${at.store}.old`), false)
})

test('help of each command fits a terminal', async () => {
  for (const line of ['', ...ALL.map(each => each.replace(' -f', ''))]) {
    const { code, stdout } = await service(ROOT, `state ${line} --help`.replace('  ', ' '))
    assert.equal(code, 0)
    assert.match(stdout, /^NAME:\n {3}ipfs-cluster-service state/)
    const longest = Math.max(...stdout.split('\n').map(each => each.length))
    assert.ok(longest <= 120, `${line}: ${longest} columns`)
  }
  for (const line of ['state nope', 'state crdt nope']) {
    assert.deepEqual(await service(ROOT, line), {
      code: 3,
      stdout: '',
      stderr: "No help topic for 'nope'\n",
    })
  }
})
