import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { after, test } from 'node:test'
import { createFakeKubo, waitFor } from '@ipfs-cluster/testkit'
import { run } from './run.ts'

const ROOT = mkdtempSync(join(tmpdir(), 'daemon-'))
const ID = '12D3KooWAuRYCfgCKTyZpxJNuxPZ7fisG7J9eZPMDBZPESVoXFbT'
/** Nobody listens there. */
const NOBODY = `/ip4/127.0.0.1/tcp/1/p2p/${ID}`

after(() => rmSync(ROOT, { recursive: true }))

/** A daemon in this process: its output, signals to it, and its end. */
function start(words: readonly string[], env: Readonly<Record<string, string>> = {}) {
  let text = ''
  let handler: ((name: string) => void) | undefined
  const output = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString()
      done()
    },
  })
  const ended = run(words, {
    stdin: Readable.from([]),
    stdout: output,
    stderr: output,
    env,
    pid: process.pid,
    hostname: 'a-host',
    onSignal(given) {
      handler = given
      return { [Symbol.dispose]: () => (handler = undefined) }
    },
    exit(code) {
      throw new Error(`exited with ${code}`)
    },
  })
  return {
    ended,
    signal: (name: string) => handler?.(name),
    text: () => text,
    says: (what: RegExp) => waitFor(() => what.test(text), { timeoutMs: 20_000, what: `${what} in ${text}` }),
  }
}

/**
 * A folder of a peer on loopback whose Kubo is at a socket, where none is yet.
 *
 * @param proxy the section `ipfsproxy`, but for the daemon's address.
 */
async function place(proxy?: Readonly<Record<string, unknown>>) {
  const folder = join(mkdtempSync(join(ROOT, 'p-')), 'config')
  const socketPath = join(folder, 'kubo.sock')
  const file = (name: string) => join(folder, name)
  assert.equal(await start(['-c', folder, 'init', '--peers', NOBODY]).ended, 0)
  const config = JSON.parse(readFileSync(file('service.json'), 'utf8'))
  Object.assign(config.cluster, { listen_multiaddress: '/ip4/127.0.0.1/tcp/0', mdns_interval: '0s' })
  config.api = { restapi: { http_listen_multiaddress: '/ip4/127.0.0.1/tcp/0' } }
  if (proxy !== undefined) config.api.ipfsproxy = { ...proxy, node_multiaddress: `/unix${socketPath}` }
  config.ipfs_connector.ipfshttp.node_multiaddress = `/unix${socketPath}`
  writeFileSync(file('service.json'), JSON.stringify(config))
  const daemon = (...words: string[]) => start(['-c', folder, 'daemon', ...words])
  return { folder, file, socketPath, daemon, peerstore: () => readFileSync(file('peerstore'), 'utf8') }
}

test('a peer whose IPFS daemon is down runs, waits, and leaves the peerstore alone when it stops', async () => {
  const at = await place()
  const before = at.peerstore()
  const peer = at.daemon('--upgrade')
  await peer.says(/\tREST API\t/)
  assert.ok(existsSync(at.file('cluster.lock')))
  peer.signal('SIGINT')
  assert.equal(await peer.ended, 0)
  assert.match(peer.text(), /SIGINT: shutting down/)
  assert.doesNotMatch(peer.text(), /READY/)
  assert.equal(at.peerstore(), before)
  assert.ok(!existsSync(at.file('cluster.lock')))
})

test('a peer is ready when its IPFS daemon has come up; it then saves its peerstore', async () => {
  const at = await place()
  const peer = at.daemon()
  await peer.says(/\tREST API\t/)
  await using _kubo = await createFakeKubo({ socketPath: at.socketPath })
  await peer.says(/\*\* IPFS Cluster is READY \*\*/)
  rmSync(at.file('peerstore'))
  peer.signal('SIGHUP')
  assert.equal(await peer.ended, 0)
  assert.ok(existsSync(at.file('peerstore')))
})

test('peers that cannot be joined are told of in the log, and keep nobody from starting', async () => {
  const at = await place()
  await using _kubo = await createFakeKubo({ socketPath: at.socketPath })
  const peer = at.daemon('--bootstrap', `${NOBODY}, /ip4/127.0.0.1/tcp/2`, '--leave', '--stats=false')
  await peer.says(/READY/)
  await peer.says(/ERROR\tservice\tcannot join through this peer: the address does not end in \/p2p.*tcp\/2"/)
  await peer.says(new RegExp(`ERROR\tcluster\tcannot join through this peer.*tcp/1/p2p/${ID}`))
  assert.match(peer.text(), /WARN\tservice\tleave_on_shutdown: .* the pinset stays/)
  peer.signal('SIGTERM')
  assert.equal(await peer.ended, 0)
})

test('what cannot be a bootstrap address ends the program before anything is touched', async () => {
  const at = await place()
  for (const bad of ['xx', `${NOBODY},xx`, '/ip4/1.2.3']) {
    const peer = at.daemon('--bootstrap', bad)
    assert.equal(await peer.ended, 1)
    assert.match(peer.text(), /^error parsing bootstrap multiaddress \(.+\): \S.*\n$/)
  }
  assert.ok(!existsSync(at.file('cluster.lock')))
})

test('the configuration is in the debug log without its secrets', async () => {
  const at = await place()
  const secret = JSON.parse(readFileSync(at.file('service.json'), 'utf8')).cluster.secret
  const peer = start(['-c', at.folder, '--loglevel', 'service:debug', 'daemon'])
  await peer.says(/DEBUG\tservice\tConfiguration: \{.*"peername": "a-host".*"secret": "XXX_hidden_XXX"/)
  await peer.says(/\tREST API\t/)
  peer.signal('SIGTERM')
  assert.equal(await peer.ended, 0)
  assert.ok(!peer.text().includes(secret))
})

test('the identity of an old configuration moves to its own file', async () => {
  const at = await place()
  const identity = JSON.parse(readFileSync(at.file('identity.json'), 'utf8'))
  const config = JSON.parse(readFileSync(at.file('service.json'), 'utf8'))
  Object.assign(config.cluster, identity)
  writeFileSync(at.file('service.json'), JSON.stringify(config))
  rmSync(at.file('identity.json'))
  const peer = at.daemon()
  await peer.says(/\tREST API\t/)
  peer.signal('SIGTERM')
  assert.equal(await peer.ended, 0)
  assert.ok(
    peer
      .text()
      .startsWith(
        `\nNOTICE: identity information extracted from ${at.file('service.json')} and saved as ${at.file('identity.json')}.\n\n`,
      ),
    peer.text(),
  )
  assert.deepEqual(JSON.parse(readFileSync(at.file('identity.json'), 'utf8')), identity)
})

test('the IPFS proxy stands before Kubo and logs its requests; a port that is in use is named', async () => {
  const at = await place({ listen_multiaddress: '/ip4/127.0.0.1/tcp/0', log_file: 'proxy.log' })
  await using _kubo = await createFakeKubo({ socketPath: at.socketPath })
  const peer = at.daemon()
  await peer.says(/\tIPFS Proxy\t.*\n/)
  const url = /\tIPFS Proxy\t\{"url":"(http:\/\/127\.0\.0\.1:\d+)"\}/.exec(peer.text())?.[1] ?? ''
  const ask = async (path: string) => await (await fetch(url + path, { method: 'POST' })).text()
  assert.match(await ask('/api/v0/version'), /"Version":"0\.44\.0"/)
  assert.equal(await ask('/api/v0/pin/ls'), '{"Keys":{}}')
  const other = await place({ listen_multiaddress: `/ip4/127.0.0.1/tcp/${new URL(url).port}` })
  const refused = other.daemon()
  assert.equal(await refused.ended, 1)
  assert.match(refused.text(), /error starting cluster: .*in use.*ipfsproxy\.listen_multiaddress/)
  peer.signal('SIGTERM')
  assert.equal(await peer.ended, 0)
  assert.match(
    readFileSync(at.file('proxy.log'), 'utf8'),
    /"POST \/api\/v0\/version HTTP\/1.1" 200 \d+\n.*pin\/ls/,
  )
})

test('lines of the proxy’s requests have the name that Go gives them', async () => {
  const at = await place({ listen_multiaddress: '/ip4/127.0.0.1/tcp/0' })
  await using _kubo = await createFakeKubo({ socketPath: at.socketPath })
  const peer = at.daemon()
  await peer.says(/\tIPFS Proxy\t.*\n/)
  const url = /\tIPFS Proxy\t\{"url":"([^"]+)"/.exec(peer.text())?.[1] ?? ''
  await (await fetch(`${url}/api/v0/repo/stat`, { method: 'POST' })).text()
  await peer.says(
    /INFO\tipfsproxylog\t127\.0\.0\.1 - - \[.*\] "POST \/api\/v0\/repo\/stat HTTP\/1\.1" 200 \d+/,
  )
  peer.signal('SIGTERM')
  assert.equal(await peer.ended, 0)
})

test('a proxy stands before a built-in node, too', async () => {
  const folder = join(mkdtempSync(join(ROOT, 'p-')), 'config')
  assert.equal(await start(['-c', folder, 'init', '--ipfs', 'embedded']).ended, 0)
  const path = join(folder, 'service.json')
  const config = JSON.parse(readFileSync(path, 'utf8'))
  const nowhere = '/ip4/127.0.0.1/tcp/0'
  Object.assign(config.cluster, { listen_multiaddress: nowhere, mdns_interval: '0s' })
  config.api = { ipfsproxy: { listen_multiaddress: nowhere } }
  Object.assign(config.ipfs_connector.embedded, {
    swarm_listen_multiaddress: nowhere,
    gateway_listen_multiaddress: '',
    rpc_listen_multiaddress: nowhere,
  })
  writeFileSync(path, JSON.stringify(config))
  const peer = start(['-c', folder, 'daemon'])
  await peer.says(/READY/)
  const url = /\tIPFS Proxy\t.*(http:\/\/127\.0\.0\.1:\d+)/.exec(peer.text())?.[1]
  const answer = await fetch(`${url}/api/v0/id`, { method: 'POST' })
  assert.match(await answer.text(), /"AgentVersion":"ipfs-cluster-embedded/)
  const own = /\tRPC of the IPFS node.*(http:\/\/127\.0\.0\.1:\d+)/.exec(peer.text())?.[1]
  assert.equal(await (await fetch(`${own}/api/v0/pin/ls`, { method: 'POST' })).text(), '{}\n')
  assert.equal((await fetch(`${own}/api/v0/pin/ls`)).status, 405)
  peer.signal('SIGTERM')
  assert.equal(await peer.ended, 0)
})
