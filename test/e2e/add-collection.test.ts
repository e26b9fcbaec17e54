/** Garbage collections during adds, again and again: they take nothing that an add has put, up to the pin and beyond it. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { kuboBinary, startRealKubo, waitFor, type RealKubo } from '@ipfs-cluster/testkit'
import { CID } from 'multiformats/cid'
import { startCluster, statusByPeer, type TestCluster, type TestPeer } from './cluster.ts'
import { BODY_END, partHead, seededBytes, startUpload } from './raw-upload.ts'
import { withKubo } from './with-kubo.ts'

const MIB = 1024 * 1024
const ADDS = 8

/** The content is on one peer alone, so that nobody else could bring back what was taken. */
function only(peer: TestPeer): string {
  return `user-allocations=${peer.id}&replication-min=1&replication-max=1&stream-channels=false`
}

/** The content comes in pieces, with a pause before each: collections run in between. */
async function addSlowly(peer: TestPeer, query: string, seed: string, bytes: number): Promise<CID> {
  const upload = await startUpload(peer.restUrl, query)
  await upload.write(partHead(seed))
  for (const piece of seededBytes(seed, bytes, MIB)) {
    await upload.write(piece)
    await delay(40)
  }
  await upload.write(BODY_END)
  upload.end()
  const answer = await upload.answer
  const [, cid] = /"cid":"(\w+)"/.exec(answer) ?? []
  assert.ok(cid, answer)
  return CID.parse(cid)
}

/** Collects until it is stopped; resolves with how often. */
function collecting(peers: readonly TestPeer[]) {
  const stop = new AbortController()
  const errors: string[] = []
  let rounds = 0
  const run = async () => {
    for (let round = 0; !stop.signal.aborted; round++) {
      const peer = peers[round % peers.length] as TestPeer
      const { peerMap } = await peer.client.repoGC()
      for (const { error, keys } of Object.values(peerMap)) {
        if (error !== '') errors.push(error)
        errors.push(...keys.map(key => key.error).filter(text => text !== ''))
      }
      rounds++
    }
  }
  const running = run()
  return {
    async stop() {
      stop.abort()
      await running
      return { rounds, errors }
    },
  }
}

const pinned = (peer: TestPeer, cid: CID) =>
  waitFor(async () => (await statusByPeer(peer, cid))[peer.id] === 'pinned', {
    timeoutMs: 30_000,
    intervalMs: 50,
    what: `${cid} is pinned at ${peer.name}`,
  })

async function addDuringCollections(through: TestPeer, to: TestPeer): Promise<CID[]> {
  const collections = collecting([through, to])
  const cids: CID[] = []
  for (let index = 0; index < ADDS; index++) {
    cids.push(await addSlowly(through, only(to), `${through.id} ${to.id} ${index}`, (1 + (index % 4)) * MIB))
  }
  const { rounds, errors } = await collections.stop()
  assert.deepEqual(errors, [])
  assert.ok(rounds >= 3, `only ${rounds} collections`)
  for (const cid of cids) await pinned(to, cid)
  return cids
}

describe('collections during adds to built-in nodes', () => {
  let cluster: TestCluster

  before(async () => {
    cluster = await startCluster(2)
  })

  after(async () => cluster?.[Symbol.asyncDispose]())

  /** Read at the peer that has it while the other is the only one who could help, and does not have it. */
  const isWhole = async (peer: TestPeer, cid: CID) => {
    const response = await fetch(`${peer.gatewayUrl}/ipfs/${cid}`)
    return (await response.arrayBuffer()).byteLength
  }

  test('through the peer itself, and through another', async () => {
    const [first, second] = cluster.peers as [TestPeer, TestPeer]
    for (const [through, to] of [
      [first, first],
      [first, second],
    ] as const) {
      const cids = await addDuringCollections(through, to)
      for (const [index, cid] of cids.entries()) {
        assert.equal(await isWhole(to, cid), (1 + (index % 4)) * MIB)
      }
    }
  })

  test('what was added and not pinned is taken at once', async () => {
    const [first, second] = cluster.peers as [TestPeer, TestPeer]
    const cid = await addSlowly(first, `${only(second)}&no-pin=true`, 'unpinned', 2 * MIB)
    const { peerMap } = await first.client.repoGC()
    const keys = peerMap[second.id]?.keys.map(({ key }) => String(key?.toV1())) ?? []
    assert.ok(keys.includes(CID.createV1(0x55, cid.multihash).toString()), `${cid} of ${keys}`)
    assert.equal(keys.length, 9)
  })

  test('what is unpinned as soon as it was added goes within seconds', async () => {
    const [first, second] = cluster.peers as [TestPeer, TestPeer]
    const left = new Set<string>()
    for (const to of [first, second]) {
      for (let index = 0; index < ADDS; index++) {
        const cid = await addSlowly(first, only(to), `short ${to.id} ${index}`, 1000)
        await first.client.unpin({ cid })
        left.add(cid.multihash.bytes.toHex())
      }
    }
    await waitFor(
      async () => {
        const { peerMap } = await first.client.repoGC()
        for (const { keys } of Object.values(peerMap)) {
          for (const { key } of keys) if (key !== null) left.delete(key.multihash.bytes.toHex())
        }
        return left.size === 0
      },
      { timeoutMs: 15_000, intervalMs: 500, what: 'nothing of it is left' },
    )
  })

  test('a pin that waits for its turn keeps its blocks', async () => {
    const [first, second] = cluster.peers as [TestPeer, TestPeer]
    // More at once than the tracker pins at a time.
    const cids = await Promise.all(
      Array.from({ length: 30 }, (_, index) => addSlowly(first, only(second), `many ${index}`, 300_000)),
    )
    await first.client.repoGC()
    for (const cid of cids) await pinned(second, cid)
    for (const cid of cids) assert.equal(await isWhole(second, cid), 300_000)
  })
})

describe(
  'collections during adds to Kubo',
  { skip: kuboBinary === undefined && 'KUBO_BIN does not name a Kubo binary' },
  () => {
    let kubo: RealKubo
    let cluster: TestCluster

    before(async () => {
      kubo = await startRealKubo(kuboBinary as string)
      cluster = await startCluster(2, (config, index) => (index === 1 ? withKubo(config, kubo.api) : config))
    })

    after(async () => {
      await cluster?.[Symbol.asyncDispose]()
      await kubo?.[Symbol.asyncDispose]()
    })

    test('through the peer itself, and through another', async () => {
      const [first, second] = cluster.peers as [TestPeer, TestPeer]
      for (const through of [second, first]) {
        const cids = await addDuringCollections(through, second)
        for (const cid of cids) {
          const refs = await kubo.ipfs(['refs', '-r', '--offline', String(cid)])
          assert.ok(refs.trim().split('\n').length >= 4)
        }
      }
    })

    test('a collection waits for an add under way, and then goes on; other peers do not wait', async () => {
      const [first, second] = cluster.peers as [TestPeer, TestPeer]
      const blocksOfKubo = async () => (await kubo.ipfs(['refs', 'local'])).split('\n').length
      const before = await blocksOfKubo()
      const upload = await startUpload(first.restUrl, only(second))
      await upload.write(partHead('waited for'))
      // Kubo writes what it imports 16 MiB at a time.
      for (const piece of seededBytes('waited for', 20 * MIB)) await upload.write(piece)
      await waitFor(async () => (await blocksOfKubo()) > before, { what: 'blocks arrive at Kubo' })
      let ended = false
      const collected = second.client.repoGC({ local: true }).finally(() => (ended = true))
      const atFirst = await first.client.repoGC({ local: true })
      assert.equal(atFirst.peerMap[first.id]?.error, '')
      await delay(500)
      assert.equal(ended, false)
      await upload.write(Buffer.concat([randomBytes(100_000), Buffer.from(BODY_END)]))
      upload.end()
      const [, cid = ''] = /"cid":"(\w+)"/.exec(await upload.answer) ?? []
      const { peerMap } = await collected
      assert.equal(peerMap[second.id]?.error, '')
      await pinned(second, CID.parse(cid))
      await kubo.ipfs(['refs', '-r', '--offline', cid])
    })

    test('what was added and not pinned is taken at once', async () => {
      const [first, second] = cluster.peers as [TestPeer, TestPeer]
      const cid = await addSlowly(first, `${only(second)}&no-pin=true`, 'unpinned', 2 * MIB)
      const { peerMap } = await first.client.repoGC()
      const keys = peerMap[second.id]?.keys.map(({ key }) => String(key?.toV1())) ?? []
      assert.ok(keys.includes(CID.createV1(0x55, cid.multihash).toString()), `${cid} of ${keys}`)
    })
  },
)
