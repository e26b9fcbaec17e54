import assert from 'node:assert/strict'
import { readFileSync, globSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import { test } from 'node:test'
import { createTextLogger, DEBUG_LEVELS, FACILITY_OF, logFormat, parseLogLevels } from './logging.ts'

/** What is logged by a component at levels set in this way. */
function loud(text: string, component: string, env: Record<string, string> = {}): string {
  const lines: string[] = []
  const logger = createTextLogger(line => lines.push(line), parseLogLevels(text, env).levels).child(component)
  for (const level of ['debug', 'info', 'warn', 'error'] as const) logger[level](level)
  return lines.map(line => line.split('\t')[3]?.trim()).join(' ')
}

const DEBUG = 'debug info warn error'
const INFO = 'info warn error'

test('levels are set for all facilities or for one', () => {
  const lines: string[] = []
  const logger = createTextLogger(line => lines.push(line), parseLogLevels('warn,crdt:debug').levels)
  logger.info('quiet')
  logger.warn({ n: 1n, cid: 'x' }, 'two\nlines')
  logger.child('crdt').debug({}, 'merged')
  logger.child('other').info('quiet')
  assert.equal(lines.length, 2)
  assert.match(
    lines[0] ?? '',
    /^\d{4}-\d\d-\d\dT[\d:.]+Z\tWARN\tservice\ttwo lines\t\{"n":"1","cid":"x"\}\n$/,
  )
  assert.match(lines[1] ?? '', /\tDEBUG\tcrdt\tmerged\n$/)
})

test('lines say when, in UTC and to the millisecond', () => {
  const lines: string[] = []
  const logger = createTextLogger(line => lines.push(line), DEBUG_LEVELS)
  const before = Date.now()
  for (let i = 0; i < 1000; i++) logger.info('now')
  const after = Date.now()
  for (const line of lines) {
    const [text = ''] = line.split('\t')
    assert.equal(text, new Date(text).toISOString())
    assert.ok(Date.parse(text) >= before && Date.parse(text) <= after, text)
  }
})

test('the names of levels, in any case, and those of old', () => {
  for (const [text, expected] of [
    ['', INFO],
    ['debug', DEBUG],
    ['DEBUG', DEBUG],
    ['Warn', 'warn error'],
    ['warning', 'warn error'],
    ['notice', INFO],
    ['error', 'error'],
    ['critical', 'error'],
    ['dpanic', ''],
    ['panic', ''],
    ['fatal', ''],
    ['*:debug', DEBUG],
    ['all:debug', DEBUG],
    ['cluster:debug', DEBUG],
    ['error,cluster:debug', DEBUG],
    [',,debug,', DEBUG],
  ] as const) {
    assert.equal(loud(text, 'cluster'), expected, text)
  }
  assert.equal(loud('cluster:debug', 'restapi'), INFO)
})

test('an item with more than one colon is refused', () => {
  for (const text of ['a:b:info', 'info,a:b:c', '::', 'crdt::debug']) {
    assert.throws(() => parseLogLevels(text), {
      code: 'BAD_LOG_LEVEL',
      message: /^log level not in expected format "identifier:loglevel" or "loglevel": /,
    })
  }
})

test('an unknown level leaves go-log alone, as in Go, and is named; an unknown facility is none', () => {
  assert.equal(loud('loud', 'cluster'), 'error')
  assert.equal(loud('loud', 'cluster', { GOLOG_LOG_LEVEL: 'warn' }), 'warn error')
  assert.equal(loud('crdt:loud', 'crdt'), 'error')
  assert.equal(loud('crdt:loud', 'cluster'), INFO)
  assert.equal(loud('crdt:', 'crdt'), 'error')
  assert.equal(loud('nobody:debug', 'cluster'), INFO)
  assert.match(parseLogLevels('loud').warnings[0] ?? '', /^"loud" is no log level: error holds\. Use debug, /)
  assert.deepEqual(parseLogLevels('nobody:debug,info').warnings, [])
})

test('a level that is given twice is told, and the last one holds', () => {
  const { levels, notices } = parseLogLevels('info,crdt:info,debug,crdt:error')
  assert.deepEqual(notices, ['overwriting existing all log level', 'overwriting existing crdt log level'])
  assert.equal(levels.default, 'debug')
  assert.equal(levels.facilities.get('crdt'), 'error')
})

test('libraries are quiet unless they are named; GOLOG_LOG_LEVEL is for what the program does not set', () => {
  assert.equal(loud('debug', 'libp2p'), 'error')
  assert.equal(loud('libp2p:debug', 'libp2p'), DEBUG)
  assert.equal(loud('swarm2:debug', 'libp2p'), DEBUG)
  assert.equal(loud('', 'libp2p', { GOLOG_LOG_LEVEL: 'debug' }), DEBUG)
  assert.equal(loud('', 'libp2p', { GOLOG_LOG_LEVEL: 'error,libp2p=info' }), INFO)
  assert.equal(loud('', 'cluster', { GOLOG_LOG_LEVEL: 'debug' }), INFO)
  const lines: string[] = []
  createTextLogger(line => lines.push(line), DEBUG_LEVELS)
    .child('libp2p')
    .debug('--debug is for all')
  assert.equal(lines.length, 1)
})

/** Reference api.md 4.2; those of what this version does not have are at the end. */
const GO_FACILITIES =
  'cluster restapi restapilog ipfshttp monitor dsstate crdt pintracker diskinfo tags apitypes config shardingdags singledags ' +
  'adder optracker pstoremgr allocator service p2p-gorpc swarm2'
const NOT_HERE =
  'pinsvcapi pinsvcapilog ipfsproxy ipfsproxylog raft libp2p-raft raftlib badger badger3 pebble'

test('every facility of Go sets the level of a component', () => {
  const components = new Set(['service', ...componentsInSource()])
  for (const name of GO_FACILITIES.split(' ')) {
    const component = FACILITY_OF[name] ?? name
    assert.ok(components.has(component), `${name} is ${component}, and nothing logs as that`)
    assert.equal(loud(`error,${name}:debug`, component), DEBUG, name)
    assert.equal(loud(`error,${name}:debug`, 'some other'), 'error', name)
  }
  for (const name of NOT_HERE.split(' ')) assert.equal(loud(`${name}:debug`, 'cluster'), INFO)
})

test('a component that is several facilities of Go is as talkative as any of them, unless it is named itself', () => {
  assert.equal(loud('optracker:error', 'pintracker'), INFO)
  assert.equal(loud('error,optracker:info', 'pintracker'), INFO)
  assert.equal(loud('shardingdags:debug,singledags:error', 'adder'), DEBUG)
  assert.equal(loud('shardingdags:error,singledags:debug', 'adder'), DEBUG)
  assert.equal(loud('optracker:debug,pintracker:error', 'pintracker'), 'error')
})

/** Names of `logger.child('…')` in this package. */
function componentsInSource(): string[] {
  const root = fileURLToPath(new URL('..', import.meta.url))
  const sources = globSync('**/*.ts', { cwd: root }).filter(path => !path.endsWith('.test.ts'))
  return sources.flatMap(path => {
    // The APIs log their requests as `restapilog`.
    const text = readFileSync(join(root, path), 'utf8').replaceAll('`${section}log`', "'restapilog'")
    return [...text.matchAll(/\.child\('([^']+)'\)/g)].map(([, name]) => name ?? '')
  })
}

test('GOLOG_LOG_FMT=json gives one object a line, with the names of go-log', () => {
  assert.equal(logFormat({ GOLOG_LOG_FMT: 'json' }), 'json')
  assert.equal(logFormat({ IPFS_LOGGING_FMT: 'json' }), 'json')
  for (const name of ['nocolor', 'color', 'strange', ''])
    assert.equal(logFormat({ GOLOG_LOG_FMT: name }), 'text')
  assert.equal(logFormat({ IPFS_LOGGING_FMT: 'nocolor' }), 'text')
  const lines: string[] = []
  const logger = createTextLogger(line => lines.push(line), DEBUG_LEVELS, 'service', 'json')
  logger.child('crdt').warn({ n: 1n, level: 'mine', error: new Error('bad') }, 'two\nlines')
  const { ts, error, ...rest } = JSON.parse(lines[0] ?? '')
  assert.match(ts, /^\d{4}-\d\d-\d\dT/)
  assert.match(error, /^Error: bad/)
  assert.deepEqual(rest, { n: '1', level: 'warn', logger: 'crdt', msg: 'two\nlines' })
  assert.equal(lines[0]?.split('\n').length, 2)
})
