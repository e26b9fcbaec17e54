/** Every key of `service.json` (reference api.md 5.3 to 5.5): its default, what it means when it is missing or empty, and its variable. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  displayServiceConfig,
  formatServiceConfig,
  initialConfig,
  parseServiceConfig,
  validateServiceConfig,
  withEnvironment,
  type ServiceConfig,
} from './index.ts'
import { DEF, ID, KUBO, PEER, TABLE } from './test-keys.ts'

const SECRET = '07'.repeat(32)

/** Ours alone, or what other tests are about. */
const ELSEWHERE =
  /^(ipfs_connector\.embedded|datastore|consensus\.raft)\.|^observations\.tracing\.otlp|(secret|private_key|basic_auth_credentials|tags\.group)$/

const initial = () =>
  initialConfig({
    consensus: 'crdt',
    datastore: 'pebble',
    ipfs: 'ipfshttp',
    peername: 'host',
    secret: new Uint8Array(32).fill(7),
  })

type Json = Readonly<Record<string, unknown>>

/** As people see it: also keys that are not written. */
function at(config: ServiceConfig, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((value, key) => (value as Json)[key], JSON.parse(displayServiceConfig(config)))
}

/** A file whose section holds these keys alone; of the sections around it, what must be there. */
function fileWith(section: string, content: Json): string {
  const keys = section.split('.')
  const file = JSON.parse(formatServiceConfig(initial()))
  const last = keys.pop() as string
  const around = keys.reduce((value, key) => value[key], file)
  around[last] = content
  return JSON.stringify(file)
}

const rows = Object.entries(TABLE).flatMap(([section, list]) => list.map(row => [section, row] as const))

test('the table has every key', () => {
  const paths: string[] = []
  const walk = (value: unknown, path: string) => {
    const isSection =
      typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0
    if (isSection)
      for (const [key, each] of Object.entries(value)) walk(each, path === '' ? key : `${path}.${key}`)
    else paths.push(path)
  }
  walk(JSON.parse(displayServiceConfig(initial())), '')
  const known = rows.map(([section, [key]]) => `${section}.${key}`)
  assert.deepEqual(
    paths.filter(path => !ELSEWHERE.test(path)).sort(),
    known.filter(path => path !== 'informer.tags.tags').sort(),
  )
})

for (const [section, [key, first, missing, env, empty = missing]] of rows) {
  const path = `${section}.${key}`
  test(path, () => {
    assert.deepEqual(at(initial(), path), first, 'as init writes it')
    const without = parseServiceConfig(fileWith(section, {}), 'host')
    const whenMissing = missing === DEF ? first : missing
    assert.deepEqual(at(without, path), whenMissing, 'missing')
    assert.deepEqual(
      at(parseServiceConfig(fileWith(section, { [key]: null }), 'host'), path),
      whenMissing,
      'null',
    )
    assert.deepEqual(
      at(parseServiceConfig(fileWith(section, { [key.toUpperCase()]: first }), 'host'), path),
      first,
      'in capitals',
    )
    const wrong = { unexpected: true, wrong: [1] }
    assert.throws(() => parseServiceConfig(fileWith(section, { [key]: [wrong] }), 'host'), {
      code: 'CONFIG_INVALID',
      message: new RegExp(key),
    })
    const blank = emptyOf(first)
    if (empty === 'refused') assert.throws(() => parseServiceConfig(fileWith(section, { [key]: '' }), 'host'))
    else if (blank !== undefined) {
      const config = parseServiceConfig(fileWith(section, { [key]: blank }), 'host')
      assert.deepEqual(at(config, path), empty === DEF ? first : empty, 'empty')
    }
    if (env === undefined) return
    const variable = variableOf(path)
    const set = withEnvironment(initial(), { [variable]: env[0] })
    assert.deepEqual(at(set, path), env[1], variable)
    assert.deepEqual(
      at(withEnvironment(without, { [variable]: env[0] }), path),
      env[1],
      `${variable} over a file`,
    )
  })
}

/** `max_pin_queue_size` of `stateless` is `CLUSTER_STATELESS_MAXPINQUEUESIZE`; the group has no part in it, nor has `cluster`. */
function variableOf(path: string): string {
  const parts = path.split('.').slice(1)
  return ['CLUSTER', ...parts.map(part => part.replaceAll('_', '').toUpperCase())].join('_')
}

function emptyOf(value: unknown): unknown {
  if (Array.isArray(value)) return []
  return { string: '', number: 0, boolean: false }[typeof value as string]
}

test('secrets are in the file, and hidden from people', () => {
  const { cluster, api } = initial()
  const config: ServiceConfig = {
    ...initial(),
    cluster: { ...cluster, private_key: 'a-key' },
    api: {
      ...api,
      restapi: api.restapi && {
        ...api.restapi,
        private_key: 'a-key',
        basic_auth_credentials: { me: 'a-password' },
      },
    },
  }
  const shown = displayServiceConfig(config)
  for (const secret of [SECRET, 'a-key', 'a-password']) {
    assert.ok(formatServiceConfig(config).includes(secret), secret)
    assert.ok(!shown.includes(secret), secret)
  }
  const hidden = JSON.parse(shown)
  for (const value of [
    hidden.cluster.secret,
    hidden.cluster.private_key,
    hidden.api.restapi.private_key,
    hidden.api.restapi.basic_auth_credentials,
    hidden.api.pinsvcapi.basic_auth_credentials,
  ]) {
    assert.equal(value, 'XXX_hidden_XXX')
  }
})

test('durations of crdt that cannot be read are their defaults, as in Go; everywhere else they are refused', () => {
  const crdt = { repair_interval: 'often', rebroadcast_interval: '5', batching: { max_batch_age: 'x' } }
  const config = parseServiceConfig(fileWith('consensus.crdt', crdt), 'host')
  assert.equal(at(config, 'consensus.crdt.repair_interval'), '1h0m0s')
  assert.equal(at(config, 'consensus.crdt.rebroadcast_interval'), '1m0s')
  assert.equal(at(config, 'consensus.crdt.batching.max_batch_age'), '0s')
  for (const [section, list] of Object.entries(TABLE)) {
    for (const [key, , , env] of list) {
      if (env?.[0] !== '1h30m' || section.startsWith('consensus.crdt')) continue
      for (const bad of ['soon', '15', '1 h', '1h30']) {
        assert.throws(() => parseServiceConfig(fileWith(section, { [key]: bad }), 'host'), {
          code: 'CONFIG_INVALID',
        })
        const variable = variableOf(`${section}.${key}`)
        assert.throws(() => withEnvironment(initial(), { [variable]: bad }), {
          code: 'CONFIG_INVALID',
          message: new RegExp(`^${variable}: `),
        })
      }
    }
  }
})

test('a set but empty variable is an error for numbers and booleans, and nothing for texts and durations', () => {
  for (const [section, [key, first, missing, env]] of rows) {
    if (env === undefined) continue
    const path = `${section}.${key}`
    const variable = variableOf(path)
    const load = () => withEnvironment(initial(), { [variable]: '' })
    if (typeof first === 'number' || typeof first === 'boolean') {
      assert.throws(load, { code: 'CONFIG_INVALID', message: new RegExp(`^${variable}: `) }, path)
    } else if (env[0] === '1h30m') assert.equal(at(load(), path), first, path)
    else if (Array.isArray(first)) assert.deepEqual(at(load(), path), missing === DEF ? first : [], path)
  }
  assert.equal(withEnvironment(initial(), { CLUSTER_SECRET: '' }).cluster.secret, undefined)
})

test('options of the datastores of Go have variables of their own', () => {
  const config = withEnvironment(initial(), {
    CLUSTER_PEBBLE_PEBBLEOPTIONS_CACHESIZEBYTES: '1024',
    CLUSTER_PEBBLE_PEBBLEOPTIONS_DISABLEWAL: 'true',
    CLUSTER_PEBBLE_FOLDER: 'there',
    CLUSTER_BADGER_BADGEROPTIONS_SYNCWRITES: 'not for this file',
  })
  assert.equal(config.datastore.pebble?.pebble_options['cache_size_bytes'], 1024)
  assert.equal(config.datastore.pebble?.pebble_options['disable_wal'], true)
  assert.equal(config.datastore.pebble?.folder, 'there')
  for (const [name, value] of [
    ['CACHESIZEBYTES', 'large'],
    ['DISABLEWAL', ''],
    ['LEVELS', '7'],
  ]) {
    const variable = `CLUSTER_PEBBLE_PEBBLEOPTIONS_${name}`
    assert.throws(() => withEnvironment(initial(), { [variable]: value }), {
      message: new RegExp(`^${variable}: `),
    })
  }
})

test('a file of an old version: what is unknown is ignored, what is not named runs with its defaults', () => {
  const old = {
    cluster: {
      id: ID,
      peername: 'old',
      private_key: 'CAES',
      secret: SECRET,
      peers: [PEER],
      bootstrap: [],
      leave_on_shutdown: false,
      listen_multiaddress: '/ip4/0.0.0.0/tcp/9096',
      state_sync_interval: '1m0s',
      ipfs_sync_interval: '2m10s',
      replication_factor: -1,
      monitor_ping_interval: '15s',
      peer_watch_interval: '5s',
      disable_repinning: false,
    },
    consensus: { crdt: { cluster_name: 'ipfs-cluster', trusted_peers: [] } },
    api: { restapi: { listen_multiaddress: '/ip4/127.0.0.1/tcp/9094', read_timeout: '30s' } },
    ipfs_connector: {
      ipfshttp: {
        proxy_listen_multiaddress: '/ip4/127.0.0.1/tcp/9095',
        node_multiaddress: KUBO,
        proxy_read_timeout: 'x',
      },
    },
    pin_tracker: { maptracker: { pinning_timeout: '1h0m0s', unpinning_timeout: 5 } },
    monitor: { monbasic: { check_interval: '15s' } },
    informer: { disk: { metric_ttl: '30s', metric_type: 'freespace' }, numpin: { metric_ttl: '10s' } },
    sharder: { anything: [1, 2, 3] },
    state: { pinset: {} },
  }
  const config = withEnvironment(parseServiceConfig(JSON.stringify(old), 'host'), {
    CLUSTER_STATELESS_CONCURRENTPINS: '3',
  })
  validateServiceConfig(config)
  assert.equal(config.cluster.peername, 'old')
  assert.equal(at(config, 'api.restapi.http_listen_multiaddress'), '/ip4/127.0.0.1/tcp/9094')
  assert.equal(at(config, 'pin_tracker.stateless.concurrent_pins'), 3)
  assert.equal(at(config, 'monitor.pubsubmon.check_interval'), '15s')
  assert.equal(config.api.ipfsproxy, undefined)
  assert.equal(config.allocator.balanced, undefined)
})
