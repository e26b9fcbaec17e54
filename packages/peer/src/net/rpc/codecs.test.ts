import { newPin, TRACKER_STATUS, type ID, type Metric, type Pin, type PinInfo } from '@ipfs-cluster/api'
import { concatBytes, fromHex, toHex, utf8 } from '@ipfs-cluster/base'
import { decodeObject, encodeObject, MsgpackError, MsgpackReader, type Codec } from '@ipfs-cluster/gorpc'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { CID } from 'multiformats/cid'
import * as codecs from './codecs.ts'
import { decodeMetric, encodeMetric } from './codecs.ts'

const ED25519 = '12D3KooWMHPCn4g7zHMGkvLVpS3MQZG5MoeGCzgGXeEdgRLtXMNq'
const hexOf = <T>(codec: Codec<T>, value: T) => toHex(encodeObject(codec, value))
const P = `002408011220${'aa'.repeat(32)}`
const C = `01551220${'cc'.repeat(32)}`
const peer = decodeObject(codecs.peerId, fromHex(`da0026${P}`))
const content = CID.decode(fromHex(C))

test('golden vectors of the reference', () => {
  const R = `1220${'bb'.repeat(32)}`
  const rsa = decodeObject(codecs.peerId, fromHex(`da0022${R}`))
  assert.equal(hexOf(codecs.peerId, peer), `da0026${P}`)
  assert.equal(hexOf(codecs.peerIds, [peer, rsa]), `92da0026${P}da0022${R}`)
  assert.equal(hexOf(codecs.peerIds, []), '90')
  assert.deepEqual(decodeObject(codecs.peerIds, fromHex('c0')), [])
  assert.equal(hexOf(codecs.peerId, ''), 'c0')
  assert.equal(hexOf(codecs.cid, content), `da0024${C}`)
  assert.equal(hexOf(codecs.optionalCid, null), 'c0')
  assert.equal(decodeObject(codecs.optionalCid, fromHex('a0')), null)
  assert.equal(hexOf(codecs.multiaddr, '/ip4/0.0.1.6/tcp/9096'), 'a80400000106062388')
  assert.equal(hexOf(codecs.trackerStatus, TRACKER_STATUS.unexpectedly_unpinned), 'd11000')
  const ping: Metric = {
    name: 'ping',
    peer,
    value: '{"peer_name":"a"}',
    expire: 1700000000123456789n,
    valid: true,
    weight: 0n,
    partitionable: false,
    receivedAt: 0n,
  }
  const ending = 'a165d317979cfe3d85cd15a164c3'
  const value = `b1${toHex(utf8(ping.value))}`
  assert.equal(toHex(encodeMetric(ping)), `85a16ea470696e67a170da0026${P}a176${value}${ending}`)
  const freespace = toHex(encodeMetric({ ...ping, name: 'freespace', weight: 1000n }))
  assert.equal(freespace, `86a16ea9667265657370616365a170da0026${P}a176${value}${ending}a177d103e8`)
  assert.equal(hexOf(codecs.ipfsRepoStat, { repoSize: 0n, storageMax: 0n }), '81a17300')
  const node = { data: utf8('abc'), cid: content, cumulativeSize: 7n }
  assert.equal(hexOf(codecs.nodeWithMeta, node), `83a164a3616263a163da0024${C}a17307`)
  const pin = newPin(content, { timestamp: 1_700_000_000_000_000_005n })
  assert.equal(hexOf(codecs.pin, pin), `86a16d80a163da0024${C}a17402a16190a164ffa169a8000000146553f100`)
})

const full: Pin = {
  ...newPin(content),
  replicationFactorMin: -1,
  replicationFactorMax: 3,
  name: 'a name',
  mode: 'direct',
  shardSize: 2n ** 63n,
  userAllocations: [ED25519],
  expireAt: 5n,
  metadata: { b: '2', a: '1' },
  pinUpdate: content,
  origins: [`/ip4/1.2.3.4/tcp/4001/p2p/${peer}`],
  type: 'shard-pin',
  allocations: [peer],
  maxDepth: 2,
  reference: content,
  timestamp: -1n,
}

test('all keys of a pin, in Go’s order', () => {
  const bytes = encodeObject(codecs.pin, full)
  const reader = new MsgpackReader(bytes)
  const keys = Array.from({ length: reader.mapHeader() }, () => {
    const key = reader.string()
    reader.skip()
    return key
  })
  assert.equal(keys.join(' '), 'rn rx n o s ua e m pu g c t a d r i')
  assert.equal(toHex(bytes.subarray(0, 3)), 'de0010')
  assert.deepEqual(decodeObject(codecs.pin, bytes), full)
})

const peers = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map(key => decodeObject(codecs.peerId, concatBytes([fromHex('da0026002408011220'), key])))
const cids = fc
  .tuple(fc.constantFrom(0x55, 0x70, 0x71, 0x0129), fc.uint8Array({ minLength: 32, maxLength: 32 }))
  .map(([codec, digest]) => {
    const bytes = concatBytes([Uint8Array.of(1), varint(codec), Uint8Array.of(0x12, 0x20), digest])
    return CID.decode(bytes)
  })
const varint = (code: number) =>
  code < 128 ? Uint8Array.of(code) : Uint8Array.of((code & 127) | 128, code >> 7)
const addresses = fc
  .tuple(fc.ipV4(), fc.integer({ min: 1, max: 65535 }))
  .map(([ip, port]) => `/ip4/${ip}/tcp/${port}`)
const times = fc.option(fc.bigInt({ min: -(2n ** 62n), max: 2n ** 70n }))
const texts = fc.dictionary(fc.string(), fc.string(), { noNullPrototype: true, maxKeys: 5 })
const sizes = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
const int32 = fc.integer()
const plain = { noNullPrototype: true }

/** What Go does not have: there or not. */
const some = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record(model, { noNullPrototype: true, requiredKeys: [] }) as fc.Arbitrary<Partial<T>>
const withSome = <A, B>(a: fc.Arbitrary<A>, b: fc.Arbitrary<B>): fc.Arbitrary<A & B> =>
  fc.tuple(a, b).map(([left, right]) => ({ ...left, ...right }))

const goPins: fc.Arbitrary<Pin> = fc.record(
  {
    replicationFactorMin: int32,
    replicationFactorMax: int32,
    name: fc.string(),
    mode: fc.constantFrom('recursive', 'direct'),
    shardSize: sizes,
    userAllocations: fc.array(peers, { maxLength: 3 }),
    expireAt: times,
    metadata: texts,
    pinUpdate: fc.option(cids),
    origins: fc.array(addresses, { maxLength: 3 }),
    cid: cids,
    type: fc.constantFrom('bad-type', 'pin', 'meta-pin', 'clusterdag-pin', 'shard-pin'),
    allocations: fc.array(peers, { maxLength: 3 }),
    maxDepth: int32,
    reference: fc.option(cids),
    timestamp: times,
  },
  plain,
)
const pins = withSome(goPins, some({ size: sizes, maxPinSize: sizes }))
const progress = withSome(
  fc.record({ blocks: fc.nat(), bytes: sizes, bytesPerSecond: fc.nat() }, plain),
  some({ totalBytes: sizes }),
)
const goPinInfos: fc.Arbitrary<PinInfo> = fc.record(
  {
    cid: cids,
    name: fc.string(),
    peer: peers,
    allocations: fc.array(peers, { maxLength: 3 }),
    origins: fc.array(addresses, { maxLength: 3 }),
    created: times,
    metadata: fc.option(texts),
    peerName: fc.string(),
    ipfs: fc.oneof(peers, fc.constant('')),
    ipfsAddresses: fc.array(addresses, { maxLength: 3 }),
    status: fc.constantFrom(...Object.values(TRACKER_STATUS)),
    ts: times,
    error: fc.string(),
    attemptCount: fc.nat(),
    priorityPin: fc.boolean(),
  },
  plain,
)

const pinInfos = withSome(goPinInfos, some({ size: sizes, progress }))

function roundTrips<T>(codec: Codec<T>, values: fc.Arbitrary<T>): void {
  fc.assert(
    fc.property(values, value => assert.deepEqual(decodeObject(codec, encodeObject(codec, value)), value)),
  )
}

test('what is written is read again', () => {
  const { cid: _, name: __, peer: ___, ...short } = fc.sample(pinInfos, 1)[0] ?? assert.fail()
  roundTrips(codecs.pin, pins)
  roundTrips(codecs.pinInfo, pinInfos)
  const { allocations: _a, origins: _o, created: _c, metadata: _m, ...status } = short
  const ipfs = { id: peer, addresses: ['/ip4/127.0.0.1/tcp/4001'], error: 'x' }
  const id: ID = {
    id: peer,
    addresses: ['/dns4/example.org/tcp/9096'],
    clusterPeers: [peer, ED25519],
    clusterPeersAddresses: [],
    version: '1.1.6',
    commit: 'abc',
    rpcProtocolVersion: '/ipfscluster/1.0/rpc',
    error: '',
    ipfs,
    peername: 'p',
  }
  const check = <T>(codec: Codec<T>, value: T) =>
    assert.deepEqual(decodeObject(codec, encodeObject(codec, value)), value)
  check(codecs.id, id)
  check(codecs.id, { ...id, ipfs: { id: '', addresses: [], error: '' } })
  check(codecs.pinPath, { ...newPathOptions(), path: '/ipns/x' })
  check(codecs.globalPinInfo, {
    cid: content,
    name: '',
    allocations: [],
    origins: null,
    created: 1n,
    metadata: {},
    peerMap: { [peer]: status },
  })
  check(codecs.repoGC, {
    peer,
    peername: 'x',
    keys: [
      { key: content, error: '' },
      { key: null, error: 'e' },
    ],
    error: 'f',
  })
  check(codecs.globalRepoGC, { peerMap: { [peer]: { peer, peername: '', keys: [], error: '' } } })
  check(codecs.connectGraph, {
    clusterId: peer,
    idToPeername: { [peer]: 'a' },
    ipfsLinks: { [peer]: [peer] },
    clusterLinks: {},
    clusterTrustLinks: { [peer]: true },
    clusterToIpfs: { [peer]: ED25519 },
  })
  check(codecs.bandwidth, { totalIn: 1n, totalOut: 2n ** 40n, rateIn: 0.5, rateOut: 0 })
  check(codecs.alert, { ...decodeMetric(fromHex('80')), triggeredAt: 9n })
  check(codecs.ipfsPinInfo, { cid: content, type: 'indirect' })
  check(codecs.addedOutput, { name: 'f', cid: null, bytes: 5n, size: 0n, allocations: [peer] })
  check(codecs.version, { version: '' })
})

function newPathOptions() {
  const { cid: _, type: _t, allocations: _a, maxDepth: _d, reference: _r, timestamp: _i, ...options } = full
  return options
}

test('one address that is not understood does not spoil a peer’s id', () => {
  const unknown = 'a3ffff03'
  const known = 'a8047f000001062388'
  const bytes = fromHex(`82a169da0026${P}a16192${unknown}${known}`)
  assert.deepEqual(decodeObject(codecs.id, bytes).addresses, ['/ip4/127.0.0.1/tcp/9096'])
  assert.throws(() => decodeObject(codecs.multiaddr, fromHex(unknown)), MsgpackError)
})

test('who does not know of sizes reads what Go writes, and sizes change nothing of it', () => {
  const entries = (bytes: Uint8Array) => {
    const reader = new MsgpackReader(bytes)
    return Array.from({ length: reader.mapHeader() }, () => {
      const key = reader.string()
      const start = reader.offset
      reader.skip()
      return [key, toHex(bytes.subarray(start, reader.offset))] as const
    })
  }
  const known = (bytes: Uint8Array) => entries(bytes).filter(([key]) => !['sz', 'mx', 'pg'].includes(key))
  fc.assert(
    fc.property(goPins, some({ size: sizes, maxPinSize: sizes }), (pin, more) => {
      assert.deepEqual(
        known(encodeObject(codecs.pin, { ...pin, ...more })),
        entries(encodeObject(codecs.pin, pin)),
      )
    }),
  )
  fc.assert(
    fc.property(goPinInfos, some({ size: sizes, progress }), (info, more) => {
      assert.deepEqual(
        known(encodeObject(codecs.pinInfo, { ...info, ...more })),
        entries(encodeObject(codecs.pinInfo, info)),
      )
    }),
  )
})
