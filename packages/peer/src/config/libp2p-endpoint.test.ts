import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { createIdentity, formatIdentity } from '../identity/index.ts'
import { ConfigError } from './errors.ts'
import { toPeerConfig } from './peer-config.ts'
import {
  formatServiceConfig,
  initialConfig,
  parseServiceConfig,
  validateServiceConfig,
  withEnvironment,
} from './service-config.ts'

const LISTEN = '/ip4/127.0.0.1/tcp/9099'

interface Keys {
  readonly id?: string
  readonly private_key?: string
  readonly libp2p_listen_multiaddress?: string | readonly string[]
}

/** The configuration of a peer with these keys in its `restapi` section, and with these variables. */
function load(keys: Keys, env: Record<string, string> = {}) {
  const initial = initialConfig({
    consensus: 'crdt',
    datastore: 'pebble',
    ipfs: 'ipfshttp',
    peername: 'test',
    secret: new Uint8Array(32),
  })
  const file = JSON.parse(formatServiceConfig(initial)) as { api: { restapi: Keys } }
  file.api.restapi = { ...file.api.restapi, ...keys }
  const config = withEnvironment(parseServiceConfig(JSON.stringify(file), 'test'), env)
  validateServiceConfig(config)
  return toPeerConfig(config, '/folder')
}

describe('the endpoint over libp2p', () => {
  let id: string
  let private_key: string
  let otherId: string

  before(async () => {
    const text = formatIdentity(await createIdentity())
    ;({ id, private_key } = JSON.parse(text) as { id: string; private_key: string })
    otherId = (await createIdentity()).id
  })

  test('is off without its keys, on with all three', () => {
    assert.equal(load({}).restHost, undefined)
    for (const listen of [LISTEN, [LISTEN, '/ip4/127.0.0.1/tcp/9100/ws']]) {
      const { restHost } = load({ id, private_key, libp2p_listen_multiaddress: listen })
      assert.equal(restHost?.identity.id, id)
      assert.deepEqual(restHost.listen, [listen].flat())
      assert.equal(restHost.configKey, 'restapi.libp2p_listen_multiaddress')
    }
  })

  test('can be set by variables', () => {
    const { restHost } = load(
      {},
      {
        CLUSTER_RESTAPI_ID: id,
        CLUSTER_RESTAPI_PRIVATEKEY: private_key,
        CLUSTER_RESTAPI_LIBP2PLISTENMULTIADDRESS: LISTEN,
      },
    )
    assert.equal(restHost?.identity.id, id)
    assert.deepEqual(restHost.listen, [LISTEN])
  })

  test('is refused with a message that names the key, and never shows the private key', () => {
    const all = { id, private_key, libp2p_listen_multiaddress: LISTEN }
    const { id: _id, ...noId } = all
    const { private_key: _key, ...noKey } = all
    const { libp2p_listen_multiaddress: _listen, ...noListen } = all
    const cases: [Keys, RegExp][] = [
      [noId, /restapi.*id, private_key and libp2p_listen_multiaddress must be set together/],
      [noKey, /restapi.*id, private_key and libp2p_listen_multiaddress must be set together/],
      [noListen, /restapi.*id, private_key and libp2p_listen_multiaddress must be set together/],
      [{ ...all, id: otherId }, new RegExp(`restapi\\.id: ${otherId} does not match restapi\\.private_key`)],
      [{ ...all, id: 'nobody' }, /restapi\.id: "nobody" is not a peer id/],
      [{ ...all, private_key: 'not base64' }, /restapi\.private_key: /],
      [{ ...all, private_key: 'AAAA' }, /restapi\.private_key: /],
      [{ ...all, libp2p_listen_multiaddress: '127.0.0.1:9099' }, /libp2p_listen_multiaddress: /],
    ]
    for (const [keys, message] of cases) {
      assert.throws(
        () => load(keys),
        error => {
          assert.ok(error instanceof ConfigError)
          assert.equal(error.code, 'CONFIG_INVALID')
          assert.match(error.message, message)
          assert.ok(!`${error.message}${String(error.cause)}`.includes(private_key))
          return true
        },
      )
    }
  })
})
