import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { Readable } from 'node:stream'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { code as DAG_PB, encode as encodeDagPb } from '@ipld/dag-pb'
import { newPin } from '@ipfs-cluster/api'
import { silentLogger, systemClock, type Clock } from '@ipfs-cluster/base'
import {
  createFakeKubo,
  createManualClock,
  directoryBlock,
  rawBlock,
  testBlock,
  waitFor,
  type FakeKubo,
  type FakeKuboOptions,
} from '@ipfs-cluster/testkit'
import { createKuboConnector } from './index.ts'
import type { IpfsHttpConfig, IpfsPinProgress } from './types.ts'

const CONFIG: IpfsHttpConfig = {
  nodeMultiaddress: '/ip4/127.0.0.1/tcp/1',
  ipfsRequestTimeoutMs: 30_000,
  pinTimeoutMs: 30_000,
  unpinTimeoutMs: 30_000,
  repogcTimeoutMs: 30_000,
  unpinDisable: false,
}

function connect(config: Partial<IpfsHttpConfig>, clock: Clock = systemClock) {
  return createKuboConnector({ clock, logger: silentLogger }, { ...CONFIG, ...config })
}

async function setUp(options: FakeKuboOptions = {}, config: Partial<IpfsHttpConfig> = {}) {
  const kubo = await createFakeKubo(options)
  const connector = connect({ ...config, nodeMultiaddress: kubo.api })
  return {
    kubo,
    connector,
    async [Symbol.asyncDispose]() {
      await connector[Symbol.asyncDispose]()
      await kubo[Symbol.asyncDispose]()
    },
  }
}

const { cid } = rawBlock('content')
const IS_RUNNING = /cannot reach the IPFS daemon at \/ip4\/127\.0\.0\.1\/tcp\/1 .*start it/

describe('errors of the Kubo connector', () => {
  it('tell the path, the status and the message, as in Go', async () => {
    await using t = await setUp()
    t.kubo.fail({ path: 'pin/rm', kind: 'error', status: 500, message: 'disk on fire' })
    await assert.rejects(t.connector.unpin(cid), {
      code: 'IPFS_REQUEST_FAILED',
      message: `IPFS error (pin/rm?arg=${cid}). Code: 500. Message: disk on fire`,
    })
  })

  it('show the body when something else than Kubo answers', async () => {
    await using t = await setUp()
    const other = connect({ nodeMultiaddress: t.kubo.api })
    // The fake knows no such endpoint, as a web server would not.
    await assert.rejects(other.resolve('/ipns/%00/../../../nothing'), { code: 'IPFS_BAD_PATH' })
    t.kubo.fail({ path: 'id', kind: 'error', status: 403, message: 'forbidden' })
    await assert.rejects(t.connector.id(), /Code: 403. Message: forbidden/)
    await other[Symbol.asyncDispose]()
  })

  it('name the address of a daemon that is not there and say to start it', async () => {
    await using connector = connect({})
    await assert.rejects(connector.id(), { code: 'IPFS_UNREACHABLE', message: IS_RUNNING })
  })

  it('tell a daemon that hangs from one that is down', async () => {
    await using t = await setUp({}, { ipfsRequestTimeoutMs: 50 })
    t.kubo.fail({ path: 'id', kind: 'stall' })
    await assert.rejects(t.connector.id(), { code: 'IPFS_TIMEOUT' })
  })

  it('refuse an address that is none', () => {
    assert.throws(() => connect({ nodeMultiaddress: 'localhost:5001' }), RangeError)
  })
})

describe('connections of the Kubo connector', () => {
  it('work over a unix socket', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'kubo-socket-'))
    try {
      await using t = await setUp({ socketPath: join(folder, 'api.sock') })
      assert.match((await t.connector.id()).id, /^12D3/)
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('send a request again that met a connection the daemon had closed', async () => {
    const served = new Map<Socket, number>()
    const server = createServer((request, response) => {
      const count = (served.get(request.socket) ?? 0) + 1
      served.set(request.socket, count)
      if (count > 1) request.socket.destroy()
      else response.end('{"ID":"12D3KooW","Addresses":[]}')
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    await using connector = connect({ nodeMultiaddress: `/ip4/127.0.0.1/tcp/${port}` })
    for (let i = 0; i < 3; i++) assert.equal((await connector.id()).id, '12D3KooW')
    assert.equal(served.size, 3)
    server.close()
    server.closeAllConnections()
  })

  it('are tried once a second after ten failures, until one succeeds', async () => {
    const clock = createManualClock()
    await using kubo = await createFakeKubo()
    await using connector = connect({ nodeMultiaddress: kubo.api }, clock)
    kubo.fail({ path: 'id', kind: 'refuse', times: 12 })
    for (let i = 0; i < 11; i++) await assert.rejects(connector.id(), { code: 'IPFS_UNREACHABLE' })
    const results = Promise.allSettled([connector.id(), connector.id(), connector.id(), connector.id()])
    await clock.advance(999)
    assert.equal(kubo.requests.length, 11)
    await clock.advance(1)
    await waitFor(() => kubo.requests.length === 12)
    await clock.advance(1000)
    // The thirteenth gets through and succeeds, which lets all others follow without a pause.
    assert.deepEqual(
      (await results).map(result => result.status),
      ['rejected', 'fulfilled', 'fulfilled', 'fulfilled'],
    )
    assert.equal(clock.monotonic(), 2000)
  })
})

describe('pinning through Kubo', () => {
  it('goes on as long as there is progress, and reports it', async () => {
    await using t = await setUp(
      { pinDelayMs: 600, progressIntervalMs: 20, progressGrows: true },
      { pinTimeoutMs: 250 },
    )
    const seen: IpfsPinProgress[] = []
    await t.connector.pin(newPin(cid), { onProgress: progress => seen.push(progress) })
    assert.deepEqual(seen[0], { blocks: 1, bytes: 1000 })
    assert.ok(seen.length > 3)
  })

  it('learns how large a pin is from its root, when it takes longer than a moment', async () => {
    await using t = await setUp({ pinDelayMs: 600, progressIntervalMs: 20, progressGrows: true })
    const leaf = rawBlock('x'.repeat(5000))
    const links = [{ Name: 'a', Hash: leaf.cid, Tsize: 5000 }]
    const root = testBlock(encodeDagPb({ Data: Uint8Array.of(8, 1), Links: links }), DAG_PB)
    await t.connector.blockStream(Readable.from([leaf, root]))
    const seen: IpfsPinProgress[] = []
    await t.connector.pin(newPin(root.cid), { onProgress: progress => seen.push(progress) })
    assert.equal(seen[0]?.totalBytes, undefined)
    assert.equal(seen.at(-1)?.totalBytes, root.data.length + 5000)
    const asked = () => t.kubo.requests.filter(request => request.includes('block/get')).length
    assert.equal(asked(), 1)
    await t.connector.unpin(root.cid)
    await t.connector.pin(newPin(root.cid, { mode: 'direct' }))
    assert.equal(asked(), 1, 'of the root alone nobody has to ask')
  })

  it('gives up when progress lines come but say nothing new', async () => {
    await using t = await setUp({ pinDelayMs: 60_000, progressIntervalMs: 20 }, { pinTimeoutMs: 150 })
    await assert.rejects(t.connector.pin(newPin(cid)), {
      code: 'IPFS_TIMEOUT',
      message: /no progress within 0.15 s/,
    })
  })

  it('does not take an answer without the final list of pins for success', async () => {
    await using t = await setUp()
    t.kubo.fail({ path: 'pin/add', kind: 'end' })
    await assert.rejects(t.connector.pin(newPin(cid)), /without confirming/)
  })

  it('sees a failure in the trailer and a broken connection', async () => {
    await using t = await setUp()
    t.kubo.fail({ path: 'pin/add', kind: 'trailer', message: 'context canceled' })
    await assert.rejects(t.connector.pin(newPin(cid)), {
      code: 'IPFS_REQUEST_FAILED',
      message: /context canceled/,
    })
    t.kubo.fail({ path: 'pin/add', kind: 'cut' })
    await assert.rejects(t.connector.pin(newPin(rawBlock('other').cid)), {
      code: 'IPFS_REQUEST_FAILED',
      message: /connection broke/,
    })
  })

  it('sends what Go sends', async () => {
    await using t = await setUp()
    const from = rawBlock('from').cid
    await t.connector.pin(newPin(cid))
    await t.connector.pin(newPin(from, { mode: 'direct' }))
    await t.connector.pin(newPin(rawBlock('deep').cid, { maxDepth: 3 }))
    await t.connector.pin(newPin(rawBlock('to').cid, { pinUpdate: cid }))
    await t.connector.unpin(from)
    await Array.fromAsync(t.connector.pinLs())
    await Array.fromAsync(t.connector.repoGC())
    await t.connector.repoStat()
    const deep = rawBlock('deep').cid
    const to = rawBlock('to').cid
    assert.deepEqual(t.kubo.requests, [
      `pin/ls?stream=true&arg=${cid}&type=recursive`,
      `pin/add?arg=${cid}&recursive=true&progress=true`,
      `pin/ls?stream=true&arg=${from}&type=direct`,
      `pin/add?arg=${from}&recursive=false&progress=true`,
      `pin/ls?stream=true&arg=${deep}&type=recursive`,
      `pin/add?arg=${deep}&max-depth=3&recursive=true&progress=true`,
      `pin/ls?stream=true&arg=${to}&type=recursive`,
      `pin/ls?stream=true&arg=${cid}&type=recursive`,
      `pin/update?arg=${cid}&arg=${to}&unpin=false`,
      `pin/rm?arg=${from}`,
      'pin/ls?stream=true&type=recursive',
      'pin/ls?stream=true&type=direct',
      'repo/gc?stream-errors=true',
      'repo/stat?size-only=true',
    ])
  })

  it('connects to at most ten origins, and does not wait for them', async () => {
    await using t = await setUp({ pinDelayMs: 100 })
    t.kubo.fail({ path: 'swarm/connect', kind: 'stall', times: 100 })
    const origins = Array.from({ length: 15 }, (_, i) => `/ip4/10.0.0.${i}/tcp/4001/p2p/12D3KooW${i}`)
    await t.connector.pin(newPin(cid, { origins }))
    const connects = t.kubo.requests.filter(request => request.startsWith('swarm/connect'))
    assert.equal(connects.length, 10)
    assert.ok(connects.includes('swarm/connect?arg=%2Fip4%2F10.0.0.0%2Ftcp%2F4001%2Fp2p%2F12D3KooW0'))
  })
})

describe('listings of the Kubo connector', () => {
  it('fail rather than end early', async () => {
    await using t = await setUp()
    for (let i = 0; i < 3; i++) t.kubo.pins.set(rawBlock(`${i}`).cid.toString(), 'recursive')
    t.kubo.fail({ path: 'pin/ls', kind: 'trailer', message: 'pinner: broken' })
    await assert.rejects(Array.fromAsync(t.connector.pinLs()), /pinner: broken/)
    t.kubo.fail({ path: 'pin/ls', kind: 'cut' })
    await assert.rejects(Array.fromAsync(t.connector.pinLs()), /connection broke/)
  })

  it('may take any time as long as the daemon delivers', async () => {
    await using t = await setUp({}, { ipfsRequestTimeoutMs: 200 })
    for (let i = 0; i < 3; i++) t.kubo.pins.set(rawBlock(`${i}`).cid.toString(), 'recursive')
    let count = 0
    for await (const _ of t.connector.pinLs()) {
      count++
      await systemClock.sleep(150)
    }
    assert.equal(count, 3)
  })

  it('may be left early', async () => {
    await using t = await setUp()
    for (let i = 0; i < 3; i++) t.kubo.pins.set(rawBlock(`${i}`).cid.toString(), 'recursive')
    for await (const pin of t.connector.pinLs()) {
      assert.equal(pin.type, 'recursive')
      break
    }
    assert.match((await t.connector.id()).id, /^12D3/)
  })

  it('do not hold up disposal while their reader is busy', async () => {
    await using t = await setUp()
    for (let i = 0; i < 3; i++) t.kubo.pins.set(rawBlock(`${i}`).cid.toString(), 'recursive')
    const listing = t.connector.pinLs()[Symbol.asyncIterator]()
    await listing.next()
    await t.connector[Symbol.asyncDispose]()
    await assert.rejects(
      async () => {
        while ((await listing.next()).done !== true);
      },
      { name: 'AbortError' },
    )
  })

  it('keep sizes beyond 2^53 exact', async () => {
    await using t = await setUp({ storageMax: 2n ** 64n - 1n })
    assert.deepEqual(await t.connector.repoStat(), { repoSize: 0n, storageMax: 18446744073709551615n })
  })
})

const CAR = 'dag/import?allow-big-block=true&fast-provide-root=false&pin-roots=false&stats=true'

describe('blocks into Kubo', () => {
  const uploads = ({ requests }: FakeKubo) => requests.filter(request => /^(block|dag)\//.test(request))
  const mixed = async function* () {
    for (let i = 0; i < 50; i++) {
      yield rawBlock(`leaf ${i}`)
      yield directoryBlock([{ name: `${i}`, cid }], (i % 2) as 0 | 1)
    }
  }

  it('go as one CAR, once an empty one was taken', async () => {
    await using t = await setUp()
    await t.connector.blockStream(mixed())
    assert.deepEqual(uploads(t.kubo), [CAR, CAR])
    assert.equal(t.kubo.blocks.size, 100)
    await t.connector.blockStream(mixed())
    assert.deepEqual(uploads(t.kubo), [CAR, CAR, CAR])
  })

  it('go one by one if they are none that Kubo reads, or larger than it wants', async () => {
    await using t = await setUp()
    const cbor = testBlock(Uint8Array.of(0xa0), 0x71)
    const large = rawBlock(new Uint8Array(2 * 1024 * 1024 + 1))
    await t.connector.blockStream(Readable.from([cbor, large, rawBlock('small')]))
    assert.deepEqual(uploads(t.kubo).toSorted(), [
      'block/put?allow-big-block=true&cid-codec=dag-cbor&mhlen=32&mhtype=sha2-256&pin=false',
      'block/put?allow-big-block=true&cid-codec=raw&mhlen=32&mhtype=sha2-256&pin=false',
      CAR,
      CAR,
    ])
    assert.equal(t.kubo.blocks.size, 3)
  })

  it('take a request or two for each kind where no CAR is taken, however they alternate', async () => {
    await using t = await setUp({ without: ['dag/import'] })
    await t.connector.blockStream(mixed())
    assert.ok(uploads(t.kubo).length <= 5)
    assert.deepEqual([...new Set(uploads(t.kubo))].sort().toReversed(), [
      CAR,
      'block/put?allow-big-block=true&cid-codec=raw&mhlen=32&mhtype=sha2-256&pin=false',
      'block/put?allow-big-block=true&cid-codec=dag-pb&mhlen=32&mhtype=sha2-256&pin=false',
    ])
    assert.equal(t.kubo.blocks.size, 100)
  })

  it('go one by one from the next stream on when the daemon takes no CAR any more', async () => {
    await using t = await setUp()
    await t.connector.blockStream(Readable.from([rawBlock('before')]))
    t.kubo.fail({ path: 'dag/import', kind: 'error', status: 403, message: 'forbidden', times: 2 })
    await assert.rejects(t.connector.blockStream(Readable.from([rawBlock('with')])), /dag\/import.*forbidden/)
    await t.connector.blockStream(Readable.from([rawBlock('after')]))
    assert.equal(t.kubo.blocks.size, 2)
  })

  it('keep few requests open when there are many kinds', async () => {
    await using t = await setUp()
    const kinds = Array.from({ length: 20 }, (_, i) => testBlock(Uint8Array.of(i), 0x1000 + i))
    const blocks = async function* () {
      yield* kinds
      yield* kinds
    }
    await t.connector.blockStream(blocks())
    assert.equal(t.kubo.blocks.size, 20)
  })
})

for (const [path, without] of [
  ['dag/import', []],
  ['block/put', ['dag/import']],
] as const)
  describe(`blocks into Kubo by ${path}`, () => {
    /** A daemon that has taken the first block. */
    const setUpTaking = async (config: Partial<IpfsHttpConfig> = {}) => {
      const t = await setUp({ without }, config)
      await t.connector.blockStream(Readable.from([rawBlock('first')]))
      return t
    }

    it('fail with the text of the daemon', async () => {
      await using t = await setUpTaking()
      t.kubo.fail({ path, kind: 'error', status: 500, message: 'no space left' })
      const endless = async function* () {
        for (let i = 0; ; i++) yield rawBlock(new Uint8Array(200_000).fill(i))
      }
      await assert.rejects(t.connector.blockStream(endless()), {
        code: 'IPFS_REQUEST_FAILED',
        message: /no space left/,
      })
    })

    it('fail when the daemon leaves', async () => {
      await using t = await setUpTaking()
      const blocks = async function* () {
        for (let i = 0; i < 5; i++) yield rawBlock(new Uint8Array(200_000).fill(i))
      }
      t.kubo.fail({ path, kind: 'cut' })
      await assert.rejects(t.connector.blockStream(blocks()), { code: 'IPFS_REQUEST_FAILED' })
      t.kubo.fail({ path, kind: 'refuse' })
      await assert.rejects(t.connector.blockStream(blocks()), { code: 'IPFS_UNREACHABLE' })
    })

    it('give up on a daemon that takes nothing more, but wait for a slow source', async () => {
      await using t = await setUpTaking({ ipfsRequestTimeoutMs: 150 })
      const slow = async function* () {
        yield rawBlock('one')
        await systemClock.sleep(400)
        yield rawBlock('two')
      }
      await t.connector.blockStream(slow())
      assert.equal(t.kubo.blocks.size, 3)
      t.kubo.fail({ path, kind: 'stall' })
      await assert.rejects(t.connector.blockStream(slow()), { code: 'IPFS_TIMEOUT' })
    })

    it('are read no faster than the daemon takes them', async () => {
      await using t = await setUpTaking()
      t.kubo.fail({ path, kind: 'stall' })
      const stop = new AbortController()
      let taken = 0
      const endless = async function* () {
        for (; ; taken++) yield rawBlock(new Uint8Array(1024 * 1024).fill(taken))
      }
      const storing = t.connector.blockStream(endless(), { signal: stop.signal })
      // At once, so that a failure before the time is told, too.
      const stopped = assert.rejects(storing, /enough/)
      // What fits into the queue of the lane and the sockets' buffers, and then no more.
      let before = -1
      await waitFor(
        () => {
          const still = taken > 0 && taken === before
          before = taken
          return still
        },
        { intervalMs: 100 },
      )
      assert.ok(taken < 40, `${taken} blocks of 1 MiB`)
      stop.abort(new Error('enough'))
      await stopped
    })
  })
