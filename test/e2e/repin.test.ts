import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { DEFAULT_PIN_OPTIONS, parseTrackerStatus, TRACKER_STATUS, type PinOptions } from '@ipfs-cluster/api'
import type { ServiceConfig } from '@ipfs-cluster/peer'
import { waitFor } from '@ipfs-cluster/testkit'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import * as Digest from 'multiformats/hashes/digest'
import { sha256 } from 'multiformats/hashes/sha2'
import { pinset, startCluster, statusByPeer, type TestCluster, type TestPeer } from './cluster.ts'

/** Small files pinned beside the folder. */
const FILES = 12
/** Of these, pinned by the third peer whatever space the others have. */
const FILES_OF_THIRD = 4
const PIN_TIMEOUT_MS = 1_500
const CONCURRENT_PINS = 2
/** Three rounds of the workers. */
const MISSING = 3 * CONCURRENT_PINS
const TWO_COPIES: Partial<PinOptions> = { replicationFactorMin: 2, replicationFactorMax: 2 }

let cluster: TestCluster

before(async () => {
  cluster = await startCluster(3, hurried)
})

after(async () => {
  await cluster[Symbol.asyncDispose]()
})

/** What takes minutes by default takes a second. */
function hurried(config: ServiceConfig): ServiceConfig {
  const { embedded } = config.ipfs_connector
  const { crdt } = config.consensus
  assert.ok(embedded !== undefined && crdt !== undefined)
  return {
    ...config,
    cluster: {
      ...config.cluster,
      monitor_ping_interval: 700,
      state_sync_interval: 1_000,
      peer_watch_interval: 500,
      disable_repinning: false,
      repin_grace_period: 500,
    },
    // How a peer that was away hears of what it missed.
    consensus: { ...config.consensus, crdt: { ...crdt, rebroadcast_interval: 1_000 } },
    monitor: { pubsubmon: { check_interval: 300 } },
    informer: { disk: { metric_ttl: 1_500, metric_type: 'freespace' } },
    ipfs_connector: { embedded: { ...embedded, pin_timeout: PIN_TIMEOUT_MS } },
    allocator: { balanced: { allocate_by: ['freespace'] } },
    pin_tracker: {
      stateless: {
        max_pin_queue_size: 1_000_000,
        priority_pin_max_age: 86_400_000,
        priority_pin_max_retries: 5,
        max_pin_size: '',
        ...config.pin_tracker.stateless,
        concurrent_pins: CONCURRENT_PINS,
      },
    },
  }
}

async function addText(peer: TestPeer, text: string, options: Partial<PinOptions>): Promise<CID> {
  async function* content() {
    yield new TextEncoder().encode(text)
  }
  async function* parts() {
    yield { path: 'file.txt', kind: 'file' as const, content: content() }
  }
  const params = { pin: { ...DEFAULT_PIN_OPTIONS, ...options } }
  const [added] = await Array.fromAsync(peer.client.add({ params, parts: parts() }))
  assert.ok(added?.cid)
  return added.cid
}

/** A CID that nobody has. */
const missing = () => CID.createV1(raw.code, Digest.create(sha256.code, randomBytes(32)))

/** What this peer says of itself. */
const ownStatus = async (peer: TestPeer, cid: CID) =>
  (await peer.client.status({ cid, local: true })).peerMap[peer.id]?.status

const errorsOf = async (peer: TestPeer) =>
  (await Array.fromAsync(peer.client.statusAll({ filter: parseTrackerStatus('error') }))).length

test('the pins of a peer that is killed for good move to the one that is left, which gives them back when it returns', async t => {
  const [first, , third] = cluster.peers as [TestPeer, TestPeer, TestPeer]
  const folder = join(cluster.folder, 'kept')
  await mkdir(folder)
  const content = randomBytes(1_500_000)
  await writeFile(join(folder, 'large.bin'), content)
  const added = await first.ctl([
    'add',
    '-r',
    '-Q',
    '--rmin',
    '2',
    '--rmax',
    '2',
    '--allocs',
    third.id,
    folder,
  ])
  assert.equal(added.code, 0, added.stdout + added.stderr)
  const root = CID.parse(added.stdout.trim())
  const cids = [root]
  for (let i = 0; i < FILES; i++) {
    const userAllocations = i < FILES_OF_THIRD ? [third.id] : []
    cids.push(await addText(first, `file ${i} ${root}`, { ...TWO_COPIES, userAllocations }))
  }

  const copies = async (live: readonly TestPeer[], wanted: number) => {
    for (const cid of cids) {
      const { allocations } = await first.client.allocation({ cid })
      const by = await statusByPeer(first, cid)
      const pinned = live.filter(({ id }) => by[id] === 'pinned' && allocations.includes(id))
      if (pinned.length !== wanted) return false
    }
    return true
  }
  await waitFor(() => copies(cluster.peers, 2), {
    timeoutMs: 20_000,
    intervalMs: 100,
    what: 'two copies of everything',
  })
  const held = (await Array.fromAsync(first.client.allocations())).filter(pin =>
    pin.allocations.includes(third.id),
  )
  assert.ok(held.length > FILES_OF_THIRD, 'the third peer keeps the folder and some files')

  await third.kill9()
  const killed = performance.now()
  const left = cluster.peers.filter(peer => peer !== third)
  await waitFor(() => copies(left, 2), {
    timeoutMs: 30_000,
    intervalMs: 100,
    what: 'two copies without the dead peer',
  })
  t.diagnostic(
    `${held.length} pins moved and pinned ${Math.round(performance.now() - killed)} ms after the kill`,
  )
  for (const peer of left) {
    for await (const pin of peer.client.allocations()) assert.equal(pin.allocations.includes(third.id), false)
    const response = await fetch(`${peer.gatewayUrl}/ipfs/${root}/large.bin`)
    const got = createHash('sha256').update(new Uint8Array(await response.arrayBuffer()))
    assert.equal(got.digest('hex'), createHash('sha256').update(content).digest('hex'))
  }

  await third.start()
  await cluster.whole()
  await waitFor(
    async () => {
      for (const cid of cids) if ((await statusByPeer(first, cid))[third.id] !== 'remote') return false
      const own = await Array.fromAsync(
        third.client.statusAll({ local: true, filter: TRACKER_STATUS.pinned }),
      )
      return own.length === 0
    },
    { timeoutMs: 20_000, intervalMs: 100, what: 'the peer that is back keeps none of them' },
  )
})

test('a pin that expires is unpinned everywhere by itself, and others stay', async () => {
  const [first, second, third] = cluster.peers as [TestPeer, TestPeer, TestPeer]
  const stays = await addText(second, 'stays', { replicationFactorMin: -1, replicationFactorMax: -1 })
  const goes = await addText(second, 'goes', { replicationFactorMin: -1, replicationFactorMax: -1 })
  const pinned = await first.ctl(['pin', 'add', '--expire-in', '4s', goes.toString()])
  assert.equal(pinned.code, 0, pinned.stdout + pinned.stderr)
  const everywhere = async (cid: CID, status: string) => {
    const all = Object.values(await statusByPeer(third, cid))
    return all.length === 3 && all.every(each => each === status)
  }
  await waitFor(() => everywhere(goes, 'pinned'), { timeoutMs: 3_500, what: 'pinned until it expires' })
  for (const peer of cluster.peers) {
    await waitFor(async () => !(await pinset(peer)).includes(goes.toString()), {
      // A lost announcement is made good by the next rebroadcast, a minute later.
      timeoutMs: 100_000,
      what: `out of the pinset of ${peer.name} after its time`,
    })
    await waitFor(async () => (await ownStatus(peer, goes)) === TRACKER_STATUS.unpinned, {
      what: `unpinned by ${peer.name}`,
    })
    assert.equal((await pinset(peer)).includes(stays.toString()), true)
  }
  assert.equal(await everywhere(stays, 'pinned'), true)
})

test('pins of content that nobody has end in pin_error, are queued again by recover, and hold up no fresh pin', async t => {
  const [first, second] = cluster.peers as [TestPeer, TestPeer]
  assert.equal(await errorsOf(first), 0)
  const lost = Array.from({ length: MISSING }, missing)
  const here = { replicationFactorMin: 1, replicationFactorMax: 1, userAllocations: [first.id] }
  for (const cid of lost) await first.client.pin({ cid, options: here })
  await waitFor(async () => (await errorsOf(first)) === MISSING, {
    timeoutMs: 20_000,
    intervalMs: 100,
    what: 'errors',
  })
  for (const cid of lost) {
    const { peerMap } = await second.client.status({ cid })
    const short = peerMap[first.id]
    assert.equal(short?.status, TRACKER_STATUS.pin_error)
    assert.match(short.error, /no progress for 1\.5 s|not found/)
    assert.ok(short.attemptCount >= 1)
  }

  const [one] = lost as [CID]
  const recovered = await second.ctl(['recover', one.toString()])
  assert.equal(recovered.code, 0, recovered.stdout + recovered.stderr)
  assert.match(recovered.stdout, /: (PIN_QUEUED|PINNING)/)
  await waitFor(
    async () => {
      const short = (await first.client.status({ cid: one })).peerMap[first.id]
      return short?.status === TRACKER_STATUS.pin_error && short.attemptCount >= 2
    },
    { timeoutMs: 10_000, what: 'it has failed once more' },
  )

  const queued = await Array.fromAsync(first.client.recoverAll())
  assert.equal(queued.length, MISSING)
  const started = performance.now()
  const fresh = await addText(first, 'fresh', here)
  await waitFor(async () => (await statusByPeer(first, fresh))[first.id] === 'pinned', {
    timeoutMs: 10_000,
    what: 'the fresh pin',
  })
  const waiting = await Array.fromAsync(
    first.client.statusAll({ local: true, filter: parseTrackerStatus('pin_queued,pinning') }),
  )
  t.diagnostic(
    `pinned after ${Math.round(performance.now() - started)} ms, ${waiting.length} of ${MISSING} retries still to do`,
  )
  assert.ok(waiting.length > 0, 'it did not have to wait for all retries')
  for (const cid of lost) await first.client.unpin({ cid })
  await waitFor(async () => (await errorsOf(first)) === 0, { what: 'no errors are left' })
})
