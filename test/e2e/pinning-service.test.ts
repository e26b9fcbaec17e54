import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { DEFAULT_ADD_PARAMS } from '@ipfs-cluster/api'
import { kuboBinary, startRealKubo, waitFor, type RealKubo } from '@ipfs-cluster/testkit'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { sha256 } from 'multiformats/hashes/sha2'
import { stablePorts } from '../interop/ports.ts'
import { startCluster, type TestCluster, type TestPeer } from './cluster.ts'
import { pinningClient, tokenOf, withPinningService, type PinningClient } from './pinning-service.ts'

const LOGIN = { user: 'user', password: 'pass word' }
const ALL = 'status=queued,pinning,pinned,failed'

let cluster: TestCluster
let first: TestPeer
let second: TestPeer
let urls: string[]
let token: string
let client: PinningClient

before(async () => {
  const ports = await stablePorts(2)
  urls = ports.map(port => `http://127.0.0.1:${port}`)
  cluster = await startCluster(2, (config, index) =>
    withPinningService(config, { port: ports[index] ?? 0, login: LOGIN }),
  )
  ;[first, second] = cluster.peers as [TestPeer, TestPeer]
  token = await tokenOf(urls[0] ?? '', LOGIN)
  client = pinningClient(urls[0] ?? '', token)
})

after(async () => await cluster?.[Symbol.asyncDispose]())

/** Of content that nobody has. */
const nowhere = async () => CID.createV1(raw.code, await sha256.digest(randomBytes(20))).toString()

const added = async (peer: TestPeer, bytes: Uint8Array) => {
  async function* content() {
    yield bytes
  }
  async function* parts() {
    yield { path: 'x.bin', kind: 'file' as const, content: content() }
  }
  const outputs = await Array.fromAsync(
    peer.client.add({ params: { ...DEFAULT_ADD_PARAMS, noPin: true }, parts: parts() }),
  )
  const cid = outputs.at(-1)?.cid
  assert.ok(cid)
  return cid.toString()
}

/** The checks of the public compliance tool, which `test/interop/run-pinning-compliance.ts` runs itself. */
describe('a Pinning Service API of a daemon', () => {
  test('says where it is', () => assert.match(first.process.stderr, /Pinning Service API.*127\.0\.0\.1/))

  test('needs a token', async () => {
    for (const key of [undefined, 'purposefullyInvalid']) {
      const { status, json } = await pinningClient(urls[0] ?? '', key)('GET', '/pins')
      assert.deepEqual([status, json.error.reason], [401, 'UNAUTHORIZED'])
    }
    const other = pinningClient(urls[1] ?? '', await tokenOf(urls[1] ?? '', LOGIN))
    assert.equal((await other('GET', '/pins')).status, 200)
  })

  test('pins what a peer has, on all peers, and tells every peer the same', async () => {
    const cid = await added(first, randomBytes(300_000))
    const { status, json } = await client('POST', '/pins', { cid, name: 'a file', meta: { app: 'e2e' } })
    assert.deepEqual([status, json.requestid], [202, cid])
    assert.ok(
      json.delegates.length > 0 && json.delegates.every((address: string) => address.includes('/p2p/')),
    )
    const other = pinningClient(urls[1] ?? '', await tokenOf(urls[1] ?? '', LOGIN))
    const [here, there] = await Promise.all(
      [client, other].map(async each => {
        const pinned = async () => {
          const got = await each('GET', `/pins/${cid}`)
          return got.json.status === 'pinned' && got.json
        }
        return await waitFor(pinned, { timeoutMs: 20_000, intervalMs: 50, what: `${cid} is pinned` })
      }),
    )
    assert.equal(here.created, there.created)
    assert.deepEqual(here.pin, { cid, name: 'a file', meta: { app: 'e2e' } })
    for (const query of [
      'name=a%20file',
      'name=A%20FILE&match=iexact',
      'name=fil&match=partial',
      'name=FIL&match=ipartial',
    ]) {
      const { count, results } = (await other('GET', `/pins?${query}`)).json
      assert.deepEqual([count, results[0]?.pin.name], [1, 'a file'], query)
    }
    const meta = encodeURIComponent(JSON.stringify({ app: 'e2e' }))
    assert.equal((await client('GET', `/pins?meta=${meta}`)).json.count, 1)
    assert.equal((await client('DELETE', `/pins/${cid}`)).status, 202)
    assert.equal((await client('GET', `/pins/${cid}`)).status, 404)
  })

  test('shows pages of pins that were made at once, without loss or repetition', async () => {
    const cids = await Promise.all(Array.from({ length: 35 }, nowhere))
    const submitted = await Promise.all(cids.map(cid => client('POST', '/pins', { cid, name: 'page' })))
    assert.ok(submitted.every(({ status }) => status === 202))
    const seen: string[] = []
    let query = ALL
    for (let page = 0; page < 10; page++) {
      const { count, results } = (await client('GET', `/pins?name=page&${query}`)).json
      if (page === 0) assert.equal(count, 35)
      seen.push(...results.map(({ requestid }: { requestid: string }) => requestid))
      if (count === results.length) break
      // As clients that keep milliseconds do.
      query = `${ALL}&before=${new Date(results.at(-1).created).toISOString()}`
    }
    assert.deepEqual(seen.toSorted(), cids.toSorted())
    await Promise.all(cids.map(cid => client('DELETE', `/pins/${cid}`)))
    assert.equal((await client('GET', `/pins?name=page&${ALL}`)).json.count, 0)
  })

  test('replaces a pin that waits, and one by itself', async () => {
    const [one, two] = [await nowhere(), await nowhere()]
    await client('POST', '/pins', { cid: one, name: 'x' })
    const replaced = await client('POST', `/pins/${one}`, { cid: two, name: 'y' })
    assert.deepEqual([replaced.status, replaced.json.requestid, replaced.json.pin.name], [202, two, 'y'])
    assert.equal((await client('GET', `/pins/${one}`)).status, 404)
    assert.equal((await client('POST', `/pins/${two}`, { cid: two, name: 'z' })).status, 202)
    assert.equal((await client('GET', `/pins/${two}`)).json.pin.name, 'z')
    assert.equal((await client('DELETE', `/pins/${two}`)).status, 202)
  })
})

const skip = kuboBinary === undefined && 'KUBO_BIN does not name a Kubo binary'

describe('ipfs pin remote', { skip }, () => {
  let kubo: RealKubo
  before(async () => {
    kubo = await startRealKubo(kuboBinary as string)
    await kubo.ipfs(['pin', 'remote', 'service', 'add', 'ours', urls[0] ?? '', token])
  })
  after(async () => await kubo?.[Symbol.asyncDispose]())

  const remote = async (...args: readonly string[]) =>
    (await kubo.ipfs(['pin', 'remote', ...args, '--service=ours'])).trim()

  test('waits until what Kubo alone has is pinned by the cluster', async () => {
    const file = join(cluster.folder, 'of-kubo.bin')
    await writeFile(file, randomBytes(500_000))
    const cid = (await kubo.ipfs(['add', '-Q', '--pin=false', file])).trim()
    const told = await remote('add', '--name=from kubo', cid)
    assert.match(told, new RegExp(`CID:\\s+${cid}\\nName:\\s+from kubo\\nStatus:\\s+pinned`))
    assert.equal(await remote('ls', '--name=from kubo'), `${cid}\tpinned\tfrom kubo`)
    const block = await second.client.status({ cid: CID.parse(cid) })
    assert.equal(Object.keys(block.peerMap).length, 2)
    await remote('rm', `--cid=${cid}`)
    assert.equal(await remote('ls'), '')
  })

  test('pins in the background, lists more than a page, and counts by status', async () => {
    const cids = await Promise.all(Array.from({ length: 13 }, nowhere))
    for (const [i, cid] of cids.entries()) await remote('add', '--background', `--name=bg ${i}`, cid)
    const states = '--status=queued,pinning,failed'
    const listed = (await remote('ls', states)).split('\n').map(line => line.split('\t')[0])
    assert.deepEqual(listed.toSorted(), cids.toSorted())
    assert.match(await remote('ls', states, '--name=bg 3'), new RegExp(`^${cids[3]}\t\\w+\tbg 3$`))
    const stat = JSON.parse(await kubo.ipfs(['pin', 'remote', 'service', 'ls', '--stat', '--enc=json']))
    const { Status, PinCount } = stat.RemoteServices[0].Stat
    assert.equal(Status, 'valid')
    assert.deepEqual([PinCount.Pinned, PinCount.Queued + PinCount.Pinning + PinCount.Failed], [0, 13])
    await assert.rejects(remote('rm', states), /multiple remote pins are matching/)
    await remote('rm', states, '--force')
    assert.equal(await remote('ls', states), '')
  })

  test('tells why it may not', async () => {
    await kubo.ipfs(['pin', 'remote', 'service', 'add', 'wrong', urls[0] ?? '', 'no-token'])
    await assert.rejects(
      kubo.ipfs(['pin', 'remote', 'ls', '--service=wrong']),
      /UNAUTHORIZED.*invalid token/s,
    )
  })
})
