import assert from 'node:assert/strict'
import { copyFile, readFile } from 'node:fs/promises'
import { request as httpsRequest } from 'node:https'
import { connect as connectTls } from 'node:tls'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runProcess, startProcess, waitFor, type TestProcess } from '@ipfs-cluster/testkit'
import { bin, editConfig, prepareCluster, type TestCluster, type TestPeer } from './cluster.ts'

/** Each in some place where it might be said; none may be said. */
const PASSWORD = 'pa55word-of-alice'
const OTHER_PASSWORD = 'pa55word-of-bob'
const WRONG_PASSWORD = 'wr0ng-pa55word'
const WRONG_USER = 'n0b0dy-at-all'
const QUERY_TOKEN = 'qu3ry-t0ken'
const URL_PASSWORD = 'ur1-pa55word'
const HEADER_SECRET = 'h3ader-c00kie'

const FIXTURES = fileURLToPath(new URL('../../packages/peer/src/http/common/fixtures/', import.meta.url))
const PEM = {
  cert: await readFile(join(FIXTURES, 'cert.pem'), 'utf8'),
  key: await readFile(join(FIXTURES, 'key.pem'), 'utf8'),
}

let cluster: TestCluster
let peer: TestPeer
let daemon: TestProcess
let metricsUrl: string
/** All that the peer has answered. */
const answers: string[] = []

before(async () => {
  cluster = await prepareCluster(1)
  peer = cluster.peers[0] as TestPeer
  for (const name of ['cert.pem', 'key.pem']) await copyFile(join(FIXTURES, name), join(peer.folder, name))
  await editConfig(peer, config => {
    const { restapi } = config.api
    const { metrics } = config.observations
    assert.ok(restapi && metrics)
    return {
      ...config,
      api: {
        ...config.api,
        restapi: {
          ...restapi,
          basic_auth_credentials: { alice: PASSWORD, bob: OTHER_PASSWORD },
          ssl_cert_file: 'cert.pem',
          ssl_key_file: 'key.pem',
          http_log_file: 'http.log',
        },
      },
      observations: {
        ...config.observations,
        metrics: { ...metrics, enable_stats: true, prometheus_endpoint: ['/ip4/127.0.0.1/tcp/0'] },
      },
    }
  })
  const args = ['--config', peer.folder, '--loglevel', 'debug', 'daemon']
  daemon = await startProcess(bin('ipfs-cluster-service'), args, { ready: /READY/ })
  metricsUrl = /http:\/\/127\.0\.0\.1:\d+\/metrics/.exec(daemon.stderr)?.[0] ?? ''
})

after(async () => {
  await daemon?.[Symbol.asyncDispose]()
  await cluster?.[Symbol.asyncDispose]()
})

async function ask(
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body = '',
): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const { port } = new URL(peer.restUrl)
  const options = { host: '127.0.0.1', port, method, path, headers, ca: PEM.cert, agent: false as const }
  const call = httpsRequest(options, response => {
    let text = JSON.stringify(response.headers)
    response.setEncoding('utf8').on('data', (data: string) => (text += data))
    response.once('end', () => {
      answers.push(text)
      resolve(response.statusCode ?? 0)
    })
  })
  call.once('error', reject).end(body)
  return await promise
}

/** Bytes that are no request of node's own. */
async function send(text: string): Promise<void> {
  const socket = connectTls({ host: '127.0.0.1', port: Number(new URL(peer.restUrl).port), ca: PEM.cert })
  let answer = ''
  socket.on('data', data => (answer += String(data))).on('error', () => undefined)
  socket.write(text)
  await new Promise(resolve => socket.once('close', resolve))
  answers.push(answer)
}

const basic = (user: string, password: string) =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`

test('nothing that a peer says shows a secret, whatever it is asked', async () => {
  const good = { Authorization: basic('alice', PASSWORD) }
  assert.equal(await ask('GET', '/id', good), 200)
  assert.equal(await ask('POST', '/token', good), 200)
  // The one place where a token belongs.
  const { token } = JSON.parse(/\{"token":.*\}/.exec(answers.pop() ?? '')?.[0] ?? '{}') as { token: string }
  const bearer = { Authorization: `Bearer ${token}` }
  assert.equal(await ask('GET', '/version', bearer), 200)
  assert.equal(await ask('GET', `/version?token=${QUERY_TOKEN}&password=${URL_PASSWORD}`, bearer), 200)
  assert.equal(await ask('GET', `/pins/${token}`, bearer), 400)
  assert.equal(await ask('GET', `/nope?access_token=${token}`, bearer), 404)
  assert.equal(await ask('GET', `http://alice:${URL_PASSWORD}@127.0.0.1/version`, good), 200)
  const cut = token.slice(0, -5)
  for (const Authorization of [
    basic('alice', WRONG_PASSWORD),
    basic(WRONG_USER, PASSWORD),
    basic('alice', OTHER_PASSWORD),
    `Bearer ${cut}`,
    `Bearer ${WRONG_PASSWORD}`,
    `Basic ${PASSWORD}`,
    PASSWORD,
    `Digest ${PASSWORD}`,
  ]) {
    assert.equal(
      await ask('POST', '/pins/ipfs/x', { Authorization, Cookie: HEADER_SECRET }, WRONG_PASSWORD),
      401,
    )
  }
  const named = { ...good, 'X-Token': HEADER_SECRET, Cookie: HEADER_SECRET }
  assert.equal(await ask('POST', '/peers', named, `{"peer_id": "${WRONG_PASSWORD}`), 400)
  assert.equal(await ask('POST', '/add', named, WRONG_PASSWORD), 400)
  assert.equal(await ask('POST', '/pins/x', named), 400)
  assert.equal(await ask('GET', '/id', { ...named, 'X-Large': 'x'.repeat(10_000) }), 431)
  await send(
    `GET /id HTTP/1.1\r\nHost: x\r\nAuthorization: ${good.Authorization}\r\nBad Name: ${HEADER_SECRET}\r\n\r\n`,
  )
  await send(
    `GET /id HTTP/1.1\r\nHost: x\r\nAuthorization: ${good.Authorization}\r\nContent-Length: z${HEADER_SECRET}\r\n\r\n`,
  )
  await send(
    `POST /id HTTP/1.1\r\nHost: x\r\nAuthorization: ${good.Authorization}\r\nTransfer-Encoding: gzip, chunked\r\n\r\n`,
  )

  const ctl = (password: string) => {
    const { port } = new URL(peer.restUrl)
    const args = [
      '--host',
      `/ip4/127.0.0.1/tcp/${port}`,
      '--https',
      '--no-check-certificate',
      '--basic-auth',
      `alice:${password}`,
      '--debug',
      'id',
    ]
    return runProcess(bin('ipfs-cluster-ctl'), args)
  }
  const [right, wrong] = [await ctl(PASSWORD), await ctl(WRONG_PASSWORD)]
  assert.equal(right.code, 0, right.stdout + right.stderr)
  assert.notEqual(wrong.code, 0)

  const metrics = await waitFor(async () => {
    const text = await (await fetch(metricsUrl)).text()
    return text.includes('ipfscluster') && text
  })
  daemon.kill('SIGTERM')
  const ended = await daemon.exited
  assert.equal(ended.code, 0)
  assert.match(ended.stderr, /\tDEBUG\trestapi\t/)
  const log = await readFile(join(peer.folder, 'http.log'), 'utf8')
  assert.match(log, /"GET \/version\?token=XXX&password=XXX HTTP\/1\.1" 200/)

  const places = {
    stderr: ended.stderr,
    stdout: ended.stdout,
    'the log of requests': log,
    metrics,
    'an answer': answers.join('\n'),
    "ctl's output": [right, wrong].map(each => each.stdout + each.stderr).join('\n'),
  }
  for (const [what, secret] of await secrets(token)) {
    for (const [place, text] of Object.entries(places)) {
      const at = text.indexOf(secret)
      assert.ok(at < 0, `${what} is in ${place}: …${text.slice(Math.max(0, at - 100), at)}<here>`)
    }
  }
})

/** By name. Of long ones a part, as a part is bad enough. */
async function secrets(token: string): Promise<[string, string][]> {
  const service = JSON.parse(await readFile(join(peer.folder, 'service.json'), 'utf8')) as {
    cluster: { secret: string }
  }
  const identity = JSON.parse(await readFile(join(peer.folder, 'identity.json'), 'utf8')) as {
    private_key: string
  }
  const base64 = (text: string) => Buffer.from(text).toString('base64')
  const keyLines = PEM.key.split('\n').filter(line => line !== '' && !line.startsWith('-----'))
  assert.equal(service.cluster.secret.length, 64)
  return [
    ['the cluster secret', service.cluster.secret.slice(0, 32)],
    [
      'the cluster secret in base64',
      Buffer.from(service.cluster.secret, 'hex').toString('base64').slice(0, 20),
    ],
    ['the private key', identity.private_key.slice(10, 50)],
    ['a password', PASSWORD],
    ['a login', base64(`alice:${PASSWORD}`)],
    ["another user's password", OTHER_PASSWORD],
    ['a wrong password', WRONG_PASSWORD],
    ['a wrong login', base64(`alice:${WRONG_PASSWORD}`)],
    ['a login of nobody', base64(`${WRONG_USER}:${PASSWORD}`)],
    ['the name in a failed login', WRONG_USER],
    ['a token', token.slice(-30, -6)],
    ["a token's claims", token.split('.').slice(0, 2).join('.')],
    ['a token in a query', QUERY_TOKEN],
    ['a password in a URL', URL_PASSWORD],
    ['a header', HEADER_SECRET],
    ...keyLines.map((line): [string, string] => ['the TLS key', line]),
  ]
}
