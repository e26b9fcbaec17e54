import assert from 'node:assert/strict'
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import {
  formatServiceConfig,
  initialConfig,
  parseServiceConfig,
  toPeerConfig,
  validateServiceConfig,
  withEnvironment,
  type PeerConfig,
} from './index.ts'

const FIXTURES = fileURLToPath(new URL('../http/common/fixtures/', import.meta.url))
const HIDDEN = 'hunter2'

const INITIAL = formatServiceConfig(
  initialConfig({
    consensus: 'crdt',
    datastore: 'pebble',
    ipfs: 'ipfshttp',
    peername: 'host',
    secret: new Uint8Array(32),
  }),
)

/** The REST API of a file whose section has these keys changed. */
function restapi(
  changes: Readonly<Record<string, unknown>>,
  folder = '/folder',
  env: Readonly<Record<string, string>> = {},
): NonNullable<PeerConfig['restapi']> {
  const file = JSON.parse(INITIAL) as { api: { restapi: Record<string, unknown> } }
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) delete file.api.restapi[key]
    else file.api.restapi[key] = value
  }
  const config = withEnvironment(parseServiceConfig(JSON.stringify(file), 'host'), env)
  validateServiceConfig(config)
  const { restapi: api } = toPeerConfig(config, folder)
  assert.ok(api !== undefined)
  return api
}

const refuses = (changes: Readonly<Record<string, unknown>>, message: RegExp, folder?: string) =>
  assert.throws(
    () => restapi(changes, folder),
    (error: Error & { code?: string }) => {
      assert.equal(error.code, 'CONFIG_INVALID')
      assert.match(error.message, message)
      assert.ok(!error.message.includes(HIDDEN), error.message)
      return true
    },
  )

test('the initial section: nobody needs a login, plain HTTP, browsers may read', () => {
  const api = restapi({})
  assert.equal(api.credentials, null)
  assert.equal(api.tls, undefined)
  assert.equal(api.logFile, undefined)
  assert.deepEqual(api.cors, {
    allowedOrigins: ['*'],
    allowedMethods: ['GET'],
    allowedHeaders: [],
    exposedHeaders: ['Content-Type', 'X-Stream-Output', 'X-Chunked-Output', 'X-Content-Length'],
    allowCredentials: true,
    maxAgeMs: 0,
  })
  assert.equal(restapi({ cors_allow_credentials: undefined }).cors?.allowCredentials, false)
  assert.deepEqual(restapi({ cors_allowed_origins: undefined }).cors?.allowedOrigins, [])
})

test('credentials, headers and the log file are taken over', () => {
  const credentials = { b: 'x', a: HIDDEN, ['__proto__']: 'y' }
  const api = restapi({
    basic_auth_credentials: credentials,
    headers: { 'X-A': ['1', '2'] },
    http_log_file: 'h.log',
  })
  assert.deepEqual(Object.entries(api.credentials ?? {}).sort(), Object.entries(credentials).sort())
  assert.deepEqual(api.headers, { 'X-A': ['1', '2'] })
  assert.equal(api.logFile, '/folder/h.log')
  assert.equal(restapi({ http_log_file: '/var/h.log' }).logFile, '/var/h.log')
  const env = { CLUSTER_RESTAPI_BASICAUTHCREDENTIALS: 'u:p:q,v:w' }
  assert.deepEqual(restapi({}, '/folder', env).credentials, { u: 'p:q', v: 'w' })
})

test('what is wrong is named, and passwords are not', () => {
  refuses(
    { basic_auth_credentials: {} },
    /restapi\.basic_auth_creds should be null or have at least one entry/,
  )
  refuses(
    { basic_auth_credentials: HIDDEN },
    /^restapi\.basic_auth_credentials: must be an object of user names/,
  )
  refuses({ basic_auth_credentials: { user: [HIDDEN] } }, /must be an object of user names and passwords/)
  refuses({ private_key: [HIDDEN] }, /^restapi\.private_key: must be a string/)
  refuses({ headers: { 'X A': ['b'] } }, /^restapi\.headers: "X A" cannot be the name of an HTTP header/)
  refuses(
    { headers: { 'X-A': ['b\r\nSet-Cookie: c'] } },
    /^restapi\.headers: the value of X-A cannot be sent/,
  )
  refuses({ max_header_bytes: 100 }, /max_header_bytes must be not less then 4096/)
  refuses({ read_timeout: '-1s' }, /^restapi\.read_timeout: must not be negative/)
  const env = { CLUSTER_RESTAPI_BASICAUTHCREDENTIALS: HIDDEN }
  assert.throws(() => restapi({}, '/folder', env), {
    message: 'CLUSTER_RESTAPI_BASICAUTHCREDENTIALS: must be pairs such as user:password,user2:password2',
  })
  for (const broken of [
    INITIAL.replace('"secret": "', `"secret": ${HIDDEN}"`),
    INITIAL.replace('"cluster"', `"x": "${HIDDEN}" "cluster"`),
    `${HIDDEN}`,
  ]) {
    assert.throws(
      () => parseServiceConfig(broken, 'host'),
      ({ message }: Error) =>
        message.startsWith('service.json: is not JSON: ') && !message.includes(HIDDEN.slice(0, 4)),
    )
  }
  const numeric = INITIAL.replace(/"secret": "0+"/, '"secret": 98765')
  assert.throws(() => parseServiceConfig(numeric, 'host'), {
    message: 'cluster.secret: must be a string of 64 hex digits',
  })
})

test('certificate and key are read from the folder, and must fit', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'http-api-'))
  for (const name of ['cert.pem', 'key.pem', 'ec-key.pem'])
    await copyFile(join(FIXTURES, name), join(folder, name))
  await writeFile(join(folder, 'none.pem'), HIDDEN)
  const files = (cert: string | undefined, key: string | undefined) => ({
    ssl_cert_file: cert,
    ssl_key_file: key,
  })
  const { tls } = restapi(files('cert.pem', join(folder, 'key.pem')), folder)
  assert.match(tls?.cert ?? '', /^-----BEGIN CERTIFICATE-----/)
  assert.match(tls?.key ?? '', /PRIVATE KEY-----/)
  refuses(
    files('cert.pem', undefined),
    /restapi: .*ssl_cert_file and ssl_key_file must be set together/,
    folder,
  )
  refuses(files(undefined, 'key.pem'), /ssl_cert_file and ssl_key_file must be set together/, folder)
  refuses(
    files('gone.pem', 'key.pem'),
    /^restapi\.ssl_cert_file: error loading TLS certificate\/key: .*gone\.pem/,
    folder,
  )
  refuses(
    files('cert.pem', 'gone.pem'),
    /^restapi\.ssl_key_file: error loading TLS .*ENOENT.*gone\.pem/,
    folder,
  )
  refuses(files('.', 'key.pem'), /^restapi\.ssl_cert_file: .*EISDIR/, folder)
  refuses(
    files('none.pem', 'key.pem'),
    /^restapi\.ssl_cert_file: .*none\.pem holds no certificate in PEM/,
    folder,
  )
  refuses(
    files('cert.pem', 'none.pem'),
    /^restapi\.ssl_key_file: .*none\.pem holds no private key in PEM/,
    folder,
  )
  refuses(
    files('cert.pem', 'ec-key.pem'),
    /^restapi\.ssl_key_file: .*ec-key\.pem is not the key of the certificate/,
    folder,
  )
  await rm(folder, { recursive: true })
})
