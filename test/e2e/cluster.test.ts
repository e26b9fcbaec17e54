import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { parseTrackerStatus, TRACKER_STATUS, trackerStatusText } from '@ipfs-cluster/api'
import { waitFor } from '@ipfs-cluster/testkit'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { identity } from 'multiformats/hashes/identity'
import { startCluster, type TestCluster, type TestPeer } from './cluster.ts'

const FILE_BYTES = 3_000_000
/** Pins of the durability test (more with E2E_PINS), and requests at once. */
const MANY_PINS = Number(process.env['E2E_PINS'] ?? '2000')
const CONNECTIONS = 32

let cluster: TestCluster

before(async () => {
  cluster = await startCluster(3)
})

after(async () => {
  await cluster[Symbol.asyncDispose]()
})

const statuses = async (peer: TestPeer, cid: CID) => {
  const info = await peer.client.status({ cid })
  return Object.fromEntries(
    Object.entries(info.peerMap).map(([id, short]) => [id, trackerStatusText(short.status)]),
  )
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** Adds a folder with one large file and some small ones through ctl; the root and the large file's bytes. */
async function addFolder(peer: TestPeer, name: string): Promise<{ root: CID; content: Uint8Array }> {
  const folder = join(cluster.folder, name)
  await mkdir(join(folder, 'sub'), { recursive: true })
  const content = randomBytes(FILE_BYTES)
  await writeFile(join(folder, 'large.bin'), content)
  for (let i = 0; i < 20; i++) await writeFile(join(folder, 'sub', `${i}.txt`), `${name} ${i}`)
  const added = await peer.ctl(['add', '-r', '-Q', '--rmin', '2', '--rmax', '2', '--name', name, folder])
  assert.equal(added.code, 0, added.stdout + added.stderr)
  return { root: CID.parse(added.stdout.trim()), content }
}

async function replicated(peer: TestPeer, cid: CID): Promise<readonly TestPeer[]> {
  const holders = await waitFor(
    async () => {
      const by = await statuses(peer, cid)
      const pinned = cluster.peers.filter(each => by[each.id] === 'pinned')
      return pinned.length === 2 && Object.values(by).includes('remote') && pinned
    },
    { timeoutMs: 30_000, what: 'two peers have it pinned' },
  )
  return holders
}

test('content added to one peer is kept by two and read from the third; a killed peer comes back with it', async () => {
  const [first] = cluster.peers as [TestPeer]
  const { root, content } = await addFolder(first, 'folder')
  const holders = await replicated(first, root)
  const other = cluster.peers.find(peer => !holders.includes(peer)) as TestPeer

  const read = async (peer: TestPeer) => {
    const response = await fetch(`${peer.gatewayUrl}/ipfs/${root}/large.bin`)
    assert.equal(response.status, 200)
    return sha256(new Uint8Array(await response.arrayBuffer()))
  }
  assert.equal(await read(other), sha256(content))

  const victim = holders[1] as TestPeer
  const here = async () => (await victim.client.status({ cid: root, local: true })).peerMap[victim.id]
  const before = await here()
  await victim.kill9()
  await waitFor(async () => (await statuses(other, root))[victim.id] === 'cluster_error', {
    timeoutMs: 30_000,
    what: 'the killed peer shows as cluster_error',
  })
  assert.equal(await read(other), sha256(content))
  await victim.start()
  await waitFor(async () => (await statuses(other, root))[victim.id] === 'pinned', {
    timeoutMs: 30_000,
    what: 'the killed peer reads pinned again',
  })
  // Pinned since before the kill, without another attempt: nothing was fetched anew.
  const again = await here()
  assert.deepEqual([again?.ts, again?.attemptCount], [before?.ts, before?.attemptCount])
})

test('pins accepted while a peer is killed twice are in every pinset at the end', async () => {
  const [first, , third] = cluster.peers as [TestPeer, TestPeer, TestPeer]
  const cids = Array.from({ length: MANY_PINS }, () =>
    CID.createV1(raw.code, identity.digest(randomBytes(16))),
  )
  const acknowledged: CID[] = []
  let next = 0
  const worker = async () => {
    for (let i = next++; i < cids.length; i = next++) {
      const cid = cids[i] as CID
      await first.client.pin({ cid, options: { replicationFactorMin: -1, replicationFactorMax: -1 } })
      acknowledged.push(cid)
    }
  }
  const killer = async () => {
    for (const share of [0.25, 0.6]) {
      await waitFor(() => acknowledged.length > MANY_PINS * share, { timeoutMs: 60_000 })
      await third.kill9()
      await third.start()
    }
  }
  await Promise.all([killer(), ...Array.from({ length: CONNECTIONS }, worker)])
  assert.equal(acknowledged.length, MANY_PINS)
  for (const peer of cluster.peers) {
    const missing = await waitFor(
      async () => {
        const there = new Set<string>()
        for await (const pin of peer.client.allocations()) there.add(pin.cid.toString())
        return acknowledged.every(cid => there.has(cid.toString())) && 'none'
      },
      { timeoutMs: 120_000, intervalMs: 500, what: `${peer.name} has every acknowledged pin` },
    )
    assert.equal(missing, 'none')
  }
})

test('an unpin reaches every peer, and status says so', async () => {
  const [first, second] = cluster.peers as [TestPeer, TestPeer]
  const { root } = await addFolder(first, 'short-lived')
  await replicated(first, root)
  const removed = await second.ctl(['pin', 'rm', root.toString()])
  assert.equal(removed.code, 0, removed.stdout)
  await waitFor(async () => Object.values(await statuses(first, root)).every(text => text === 'unpinned'), {
    timeoutMs: 20_000,
    what: 'unpinned everywhere',
  })
  const again = await second.ctl(['pin', 'rm', root.toString()])
  assert.equal(again.code, 2)
  assert.match(again.stdout, /Code: 404\n {2}Message: pin is not part of the pinset/)
})

test('cluster-wide status lists every pin once with all peers', async () => {
  const [first] = cluster.peers as [TestPeer]
  const seen = new Set<string>()
  for await (const info of first.client.statusAll({
    filter: parseTrackerStatus('pinned,remote,pinning,pin_queued'),
  })) {
    assert.equal(seen.has(info.cid.toString()), false)
    seen.add(info.cid.toString())
    assert.equal(Object.keys(info.peerMap).length, 3)
    assert.equal(
      Object.values(info.peerMap).some(short => short.status === TRACKER_STATUS.cluster_error),
      false,
    )
  }
  assert.ok(seen.size > MANY_PINS)
})

test('a peer stops in order within five seconds, its store and folder free for the next start', async () => {
  const second = cluster.peers[1] as TestPeer
  const started = performance.now()
  const { code } = await second.stop()
  assert.equal(code, 0)
  assert.ok(performance.now() - started < 5000, `${performance.now() - started} ms`)
  await second.start()
  await cluster.whole()
})
