/** The JavaScript client `@nftstorage/ipfs-cluster`, unchanged, drives a peer through all of its methods. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, test } from 'node:test'
import { Cluster } from '@nftstorage/ipfs-cluster'
import { cidOfBytes, cidText } from '@ipfs-cluster/api'
import { waitFor } from '@ipfs-cluster/testkit'
import { startCluster, type TestCluster, type TestPeer } from './cluster.ts'

const MISSING = 'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy'

let cluster: TestCluster
let first: TestPeer
let client: Cluster

before(async () => {
  cluster = await startCluster(2)
  first = cluster.peers[0] as TestPeer
  client = new Cluster(first.restUrl, { headers: { 'X-Own': 'header' } })
})

after(async () => {
  await cluster[Symbol.asyncDispose]()
})

const bytes = (text: string) => new TextEncoder().encode(text)

/** The raw block of a text. */
function rawCid(text: string): string {
  const digest = createHash('sha256').update(text).digest()
  return cidText(cidOfBytes(Uint8Array.from([1, 0x55, 0x12, 32, ...digest])))
}

/** CARv1 with one raw block, which is its root. */
function car(text: string): Blob {
  const digest = createHash('sha256').update(text).digest()
  const cid = Uint8Array.from([1, 0x55, 0x12, 32, ...digest])
  // {"roots": [42(h'00' || cid)], "version": 1}
  const root = [0xd8, 0x2a, 0x58, cid.length + 1, 0, ...cid]
  const header = [0xa2, 0x65, ...bytes('roots'), 0x81, ...root, 0x67, ...bytes('version'), 1]
  const block = [...cid, ...bytes(text)]
  return new Blob([Uint8Array.from([header.length, ...header, block.length, ...block])])
}

const statuses = async (cid: string) => {
  const { peerMap } = await client.status(cid)
  return Object.values(peerMap).map(({ status }) => status)
}

async function pinned(cid: string): Promise<void> {
  await waitFor(async () => (await statuses(cid)).every(status => status === 'pinned'), {
    what: `${cid} is pinned everywhere`,
  })
}

test('version, info, peerList', async () => {
  assert.match(await client.version(), /^1\.1\.6/)
  const info = await client.info()
  assert.equal(info.id, first.id)
  assert.equal(info.peerName, first.name)
  assert.equal(info.rpcProtocolVersion, '/ipfscluster/1.0/rpc')
  assert.deepEqual([...info.clusterPeers].sort(), cluster.peers.map(peer => peer.id).sort())
  assert.ok(info.addresses[0]?.endsWith(first.id))
  assert.ok(info.ipfs.addresses.length > 0)
  const peers = await client.peerList()
  assert.deepEqual(peers.map(peer => peer.id).sort(), cluster.peers.map(peer => peer.id).sort())
})

test('add: one file, buffered and streamed', async () => {
  const file = new File(['one file'], 'a file.txt')
  const { cid, name, size } = await client.add(file)
  assert.deepEqual([cid, name, size], [rawCid('one file'), 'a file.txt', 8])
  const blob = await client.add(new Blob(['a blob']), { streamChannels: true })
  assert.equal(blob.cid, rawCid('a blob'))
  await pinned(cid)
})

test('add: every option of its own', async () => {
  const expireAt = new Date('2040-01-02T03:04:05Z')
  const { cid } = await client.add(new File(['options'], 'o'), {
    name: 'with options',
    replicationFactorMin: 1,
    replicationFactorMax: 1,
    userAllocations: [first.id],
    expireAt,
    metadata: { key: 'value' },
    local: true,
    recursive: false,
    hidden: false,
    wrap: false,
    shard: false,
    layout: 'trickle',
    chunker: 'size-1024',
    rawLeaves: false,
    progress: false,
    cidVersion: 1,
    hashFun: 'sha2-256',
    noCopy: false,
    format: 'unixfs',
  })
  const pin = await client.allocation(cid)
  assert.equal(pin.name, 'with options')
  assert.deepEqual(pin.metadata, { key: 'value' })
  assert.deepEqual(pin.allocations, [first.id])
  assert.deepEqual([pin.replicationFactorMin, pin.replicationFactorMax], [1, 1])
  assert.equal(pin.expireAt.getTime(), expireAt.getTime())
  assert.deepEqual([pin.mode, pin.maxDepth], ['recursive', -1])
})

test('addDirectory: files and the folder around them', async () => {
  const files = [new File(['a'], 'a.txt'), new File(['b'], 'sub/b.txt')]
  const outputs = await client.addDirectory(files)
  const byName = Object.fromEntries(outputs.map(({ name, cid }) => [name, cid]))
  assert.deepEqual(Object.keys(byName).sort(), ['', 'a.txt', 'sub', 'sub/b.txt'])
  assert.equal(byName['a.txt'], rawCid('a'))
  assert.equal(outputs.at(-1)?.name, '')
  await pinned(byName[''] as string)
})

test('addCAR', async () => {
  const { cid } = await client.addCAR(car('in a CAR'), { name: 'car' })
  assert.equal(cid, rawCid('in a CAR'))
  await pinned(cid)
  await assert.rejects(client.addCAR(new Blob(['no CAR'])), { message: /^500: / })
})

test('pin, allocation, status, statusAll, recover, unpin', async () => {
  const { cid } = await client.add(new File(['to pin'], 'p'), { name: 'first name' })
  const pin = await client.pin(cid, {
    name: 'pinned',
    metadata: { a: 'b' },
    replicationFactorMin: -1,
    replicationFactorMax: -1,
  })
  assert.deepEqual([pin.cid, pin.name, pin.metadata, pin.mode], [cid, 'pinned', { a: 'b' }, 'recursive'])
  assert.equal((await client.allocation(cid)).name, 'pinned')
  await pinned(cid)

  const local = await client.status(cid, { local: true })
  assert.deepEqual(Object.keys(local.peerMap), [first.id])
  const [info] = Object.values(local.peerMap)
  assert.equal(info?.peerName, first.name)
  assert.ok(info?.timestamp instanceof Date && !Number.isNaN(info.timestamp.getTime()))

  assert.ok((await client.statusAll()).some(each => each.cid === cid))
  const filtered = await client.statusAll({ filter: ['pinned', 'pin_error'], local: true })
  assert.ok(filtered.some(each => each.cid === cid))
  const chosen = await client.statusAll({ cids: [cid, MISSING] })
  assert.deepEqual(chosen.map(each => each.cid).sort(), [cid, MISSING].sort())
  // It takes the 204 of an empty listing, which Go gives as well, for an error.
  await assert.rejects(client.statusAll({ filter: ['unpinning'] }), { message: 'Missing response body' })

  assert.equal((await client.recover(cid)).cid, cid)
  assert.equal((await client.recover(cid, { local: true })).cid, cid)
  const before = await client.unpin(cid)
  assert.deepEqual([before.cid, before.name], [cid, 'pinned'])
  await assert.rejects(client.unpin(cid), { message: '404: Not Found' })
  await assert.rejects(client.allocation(cid), { message: '404: Not Found' })
})

test('pin and unpin by path', async () => {
  const { cid } = await client.add(new File(['by path'], 'p'))
  await client.unpin(cid)
  assert.equal((await client.pin(`/ipfs/${cid}`, { mode: 'recursive' })).cid, cid)
  await pinned(cid)
  assert.equal((await client.unpin(`/ipfs/${cid}`)).cid, cid)
})

test('metricNames', async () => {
  const names = await client.metricNames()
  for (const name of ['freespace', 'ping']) assert.ok(names.includes(name), name)
})

test('errors and aborts reach the caller', async () => {
  await assert.rejects(client.status('not-a-cid'), { message: '400: Bad Request' })
  await assert.rejects(client.statusAll({ filter: ['nonsense' as 'pinned'] }), {
    message: '400: Bad Request',
  })
  await assert.rejects(client.pin(MISSING, { replicationFactorMin: 9 }), { message: /^500: / })
  await assert.rejects(client.version({ signal: AbortSignal.abort(new Error('enough')) }), {
    message: 'enough',
  })
})
