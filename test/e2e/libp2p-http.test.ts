import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createIdentity } from '@ipfs-cluster/peer'
import { runProcess, type ExitResult } from '@ipfs-cluster/testkit'
import { bin, editConfig, startCluster, type TestCluster, type TestPeer } from './cluster.ts'

const cidOfNothing = 'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy'
/** Nobody listens there. */
const NOBODY = '/ip4/127.0.0.1/tcp/1/p2p/12D3KooWAUjbd3CHGqy7nzCUu1hrM9KaD3D8K1XwaKFudXvCLqGH'

let cluster: TestCluster
let peer: TestPeer
let address = ''
let endpointId = ''

before(async () => {
  const identity = await createIdentity()
  endpointId = identity.id
  cluster = await startCluster(1, config => {
    const { restapi } = config.api
    assert.ok(restapi)
    return {
      ...config,
      api: {
        ...config.api,
        restapi: {
          ...restapi,
          libp2p_listen_multiaddress: ['/ip4/127.0.0.1/tcp/0'],
          id: identity.id,
          private_key: Buffer.from(identity.privateKey).toString('base64'),
        },
      },
    }
  })
  const [first] = cluster.peers
  assert.ok(first)
  peer = first
  address = endpointOf(peer)
})

after(async () => await cluster[Symbol.asyncDispose]())

/** As the log of the daemon tells it. */
function endpointOf({ process }: TestPeer): string {
  return /REST API over libp2p.*"address":"([^"]*)"/.exec(process.stderr)?.[1] ?? ''
}

async function ctl(host: string, ...words: readonly string[]): Promise<ExitResult> {
  return await runProcess(bin('ipfs-cluster-ctl'), ['--host', host, ...words])
}

test('the daemon says where its endpoint over libp2p is, under the identity of that endpoint', () => {
  assert.match(address, new RegExp(`^/ip4/127\\.0\\.0\\.1/tcp/[1-9]\\d*/p2p/${endpointId}$`))
})

test('ctl does over libp2p what it does over HTTP', async () => {
  const file = join(cluster.folder, 'five.bin')
  await writeFile(file, randomBytes(5_000_000))
  const added = await ctl(address, 'add', '--quieter', file)
  assert.equal(added.code, 0, added.stdout + added.stderr)
  const cid = added.stdout.trim()
  assert.equal((await ctl(address, 'pin', 'add', cidOfNothing)).code, 0)
  const listed = await ctl(address, 'pin', 'ls')
  assert.ok(listed.stdout.includes(cid) && listed.stdout.includes(cidOfNothing))
  assert.equal((await ctl(address, '--enc', 'json', 'pin', 'ls', cid)).code, 0)
  assert.match((await ctl(address, 'status', cid)).stdout, / PINNED /)
  assert.equal((await ctl(address, 'pin', 'rm', cidOfNothing)).code, 0)
  const gone = await ctl(address, 'pin', 'ls', cidOfNothing)
  assert.deepEqual(
    [gone.code, gone.stdout],
    [2, 'An error occurred:\n  Code: 404\n  Message: pin is not part of the pinset\n'],
  )
  assert.equal((await ctl(address, 'id')).stdout, (await peer.ctl(['id'])).stdout)
})

test('ctl goes on to a host over libp2p, and from one', async () => {
  const { hostname, port } = new URL(peer.restUrl)
  const http = `/ip4/${hostname}/tcp/${port}`
  for (const hosts of [`${NOBODY},${address}`, `${NOBODY},${http}`, `/unix/nowhere.sock,${address}`]) {
    assert.equal((await ctl(hosts, 'version')).code, 0, hosts)
  }
})

test('libp2p and unix sockets are doors of the same API: credentials are asked for at both', async () => {
  const socket = join(cluster.folder, 'api.sock')
  assert.equal((await peer.stop()).code, 0)
  await editConfig(peer, config => {
    const { restapi } = config.api
    assert.ok(restapi)
    const doors = {
      http_listen_multiaddress: [...restapi.http_listen_multiaddress, `/unix${socket}`],
      basic_auth_credentials: { alice: 'secret' },
    }
    return { ...config, api: { ...config.api, restapi: { ...restapi, ...doors } } }
  })
  await peer.start()
  address = endpointOf(peer)
  for (const host of [address, `/unix${socket}`]) {
    const without = await ctl(host, 'id')
    assert.equal(without.code, 2)
    assert.match(without.stdout, /Code: 401\n {2}Message: unauthorized: no auth provided/)
    const wrong = await ctl(
      host,
      '--force-http',
      '--basic-auth',
      'alice:wrong',
      'add',
      join(cluster.folder, 'five.bin'),
    )
    assert.equal(wrong.code, 2)
    assert.match(wrong.stdout, /Message: unauthorized: access denied/)
    const right = await ctl(host, '--force-http', '--basic-auth', 'alice:secret', 'id')
    assert.equal(right.code, 0, right.stdout + right.stderr)
  }
})
