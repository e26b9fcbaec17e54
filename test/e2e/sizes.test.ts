import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { DEFAULT_PIN_OPTIONS, type PinInfoShort, type PinOptions } from '@ipfs-cluster/api'
import type { ServiceConfig } from '@ipfs-cluster/peer'
import { kuboBinary, startRealKubo, waitFor, type RealKubo } from '@ipfs-cluster/testkit'
import type { CID } from 'multiformats/cid'
import { startCluster, statusByPeer, type TestCluster, type TestPeer } from './cluster.ts'
import { withKubo } from './with-kubo.ts'

const MB = 1_000_000
/** Of a large file; with the blocks that hold it together a little more. */
const LARGE = 64 * MB

/** Added by the peer to its own IPFS node alone. */
async function addTo(peer: TestPeer, size: number, pinned = false): Promise<CID> {
  async function* content() {
    for (let left = size; left > 0; left -= MB) yield randomBytes(Math.min(left, MB))
  }
  async function* parts() {
    yield { path: 'large.bin', kind: 'file' as const, content: content() }
  }
  const pin = { ...DEFAULT_PIN_OPTIONS, ...onlyOn(peer) }
  const [added] = await Array.fromAsync(
    peer.client.add({ params: { pin, local: true, noPin: !pinned }, parts: parts() }),
  )
  assert.ok(added?.cid)
  return added.cid
}

/** Kept by this peer and no other. */
function onlyOn(peer: TestPeer): Partial<PinOptions> {
  return { replicationFactorMin: 1, replicationFactorMax: 1, userAllocations: [peer.id] }
}

async function stateOn(peer: TestPeer, cid: CID): Promise<PinInfoShort> {
  const { peerMap } = await peer.client.status({ cid, local: true })
  return peerMap[peer.id] ?? assert.fail(`${peer.name} does not know ${cid}`)
}

async function becomes(peer: TestPeer, cid: CID, wanted: string): Promise<PinInfoShort> {
  return await waitFor(
    async () => (await statusByPeer(peer, cid))[peer.id] === wanted && (await stateOn(peer, cid)),
    { timeoutMs: 30_000, intervalMs: 20, what: `${cid} is ${wanted}` },
  )
}

/** What a peer tells of a pin until it is pinned. */
async function follow(peer: TestPeer, cid: CID) {
  const seen: NonNullable<PinInfoShort['progress']>[] = []
  return await waitFor(
    async () => {
      const { progress, size, error } = await stateOn(peer, cid)
      assert.equal(error, '')
      if (progress !== undefined) seen.push(progress)
      return size !== undefined && { seen, size }
    },
    { timeoutMs: 60_000, intervalMs: 5, what: `${cid} is pinned, with its size` },
  )
}

async function bytesOf(peer: TestPeer): Promise<number> {
  const [free] = (await peer.client.metrics({ name: 'freespace' })).filter(metric => metric.peer === peer.id)
  return Number(free?.weight ?? 0n)
}

const withStorage = (
  config: ServiceConfig,
  [storage, maxPinSize]: readonly [storage: number, maxPinSize: string],
): ServiceConfig => {
  const { embedded } = config.ipfs_connector
  const { stateless } = config.pin_tracker
  assert.ok(embedded && stateless)
  return {
    ...config,
    ipfs_connector: { ...config.ipfs_connector, embedded: { ...embedded, storage_max: storage } },
    pin_tracker: { ...config.pin_tracker, stateless: { ...stateless, max_pin_size: maxPinSize } },
  }
}

describe('the size of pins, with built-in nodes', () => {
  let cluster: TestCluster
  let first: TestPeer
  /** Keeps 100 MB. */
  let small: TestPeer
  /** Pins nothing above 20 MB. */
  let strict: TestPeer
  let large: CID

  before(async () => {
    const limits = [
      [1000 * MB, ''],
      [100 * MB, ''],
      [1000 * MB, '20MB'],
    ] as const
    cluster = await startCluster(3, (config, index) => withStorage(config, limits[index] ?? limits[0]))
    ;[first, small, strict] = cluster.peers as [TestPeer, TestPeer, TestPeer]
    large = await addTo(first, LARGE)
  })

  after(async () => {
    await cluster?.[Symbol.asyncDispose]()
  })

  test('a larger pin than the peer or the pin allows is stopped, and says why', async () => {
    const free = await bytesOf(strict)
    await first.client.pin({ cid: large, options: { ...onlyOn(strict), name: 'large' } })
    const refused = await becomes(strict, large, 'pin_error')
    assert.match(
      refused.error,
      /^the content is too large: it has 64 MB \(64\d{6} bytes\), and max_pin_size of this peer is 20 MB \(20000000 bytes\); /,
    )
    assert.equal(refused.attemptCount, 1)
    assert.equal(refused.size, undefined)
    assert.ok(free - (await bytesOf(strict)) < LARGE / 2, 'most of it was never fetched')
    const { stdout } = await first.ctl(['status', large.toString()])
    assert.match(stdout, /PIN_ERROR: the content is too large/)
    await first.client.unpin({ cid: large })

    const options = `--no-status --rmin 1 --rmax 1 --allocs ${first.id} --max-pin-size 10MB`
    const added = await first.ctl(['pin', 'add', ...options.split(' '), large.toString()])
    assert.match(added.stdout, / \| Max\. Size: 10 MB\n$/, added.stderr)
    const ofPin = await becomes(first, large, 'pin_error')
    assert.match(ofPin.error, /max_pin_size of the pin is 10 MB/)
    const local = await first.client.recover({ cid: large })
    assert.ok(local.peerMap[first.id])
    await becomes(first, large, 'pin_error')
    await first.client.pin({ cid: large, options: onlyOn(first) })
    await becomes(first, large, 'pinned')
    await first.client.unpin({ cid: large })
  })

  test('the percentage grows until it is pinned, and its size is recorded', async () => {
    await first.client.pin({ cid: large, options: onlyOn(small) })
    const { seen, size } = await follow(small, large)
    const bytes = seen.map(progress => progress.bytes)
    assert.ok(new Set(bytes).size >= 3, `it was seen to grow: ${bytes.join(' ')}`)
    assert.deepEqual(
      bytes,
      bytes.toSorted((a, b) => Number(a - b)),
    )
    assert.ok(seen.every(({ totalBytes }) => totalBytes === undefined || totalBytes === size))
    assert.ok(seen.some(({ totalBytes }) => totalBytes === size))
    assert.ok(seen.some(({ bytesPerSecond }) => bytesPerSecond > 0))
    assert.ok(size > BigInt(LARGE) && size < BigInt(LARGE + MB))
    const { peerMap } = await first.client.status({ cid: large })
    assert.equal(peerMap[small.id]?.size, size, 'other peers tell, too')
    const [listed] = (await Array.fromAsync(first.client.statusAll({}))).filter(({ cid }) =>
      cid.equals(large),
    )
    assert.equal(listed?.peerMap[small.id]?.size, size)
    assert.match((await first.ctl(['status', large.toString()])).stdout, /PINNED .* \| Size: 64 MB\n/)
  })

  test('a full store says so', async () => {
    const second = await addTo(first, LARGE)
    await first.client.pin({ cid: second, options: onlyOn(small) })
    const { error } = await becomes(small, second, 'pin_error')
    assert.match(
      error,
      /repository full: \d+ bytes needed, storage_max leaves \d+.*; unpin and collect garbage/,
    )
    await first.client.unpin({ cid: second })
  })

  test('an add knows its size, and content of known size only goes where there is room', async () => {
    const cid = await addTo(first, 3 * MB, true)
    const { size } = await first.client.allocation({ cid })
    assert.ok(size !== undefined && size > BigInt(3 * MB) && size < BigInt(4 * MB), `${size}`)
    const away = 'QmbrCtydGyPeHiLURSPMqrvE5mCgMCwFYq3UD4XLCeAYw6'
    const huge = await first.ctl(['pin', 'add', '--size', '50GB', '--rmin', '1', '--rmax', '1', away])
    assert.equal(huge.code, 2)
    assert.match(
      huge.stdout + huge.stderr,
      /[23] more peers have less free space than the content needs \(50000000000 bytes\)/,
    )
    // Each would have room for one of them, but not for two.
    const sized = (n: number) =>
      first.client.pinPath({
        path: `/ipfs/${away.slice(0, -1)}${'6789'[n]}`,
        options: { replicationFactorMin: 1, replicationFactorMax: 1, size: 600_000_000n },
      })
    const [one, two] = [await sized(0), await sized(1)]
    assert.deepEqual([...one.allocations, ...two.allocations].sort(), [first.id, strict.id].sort())
    await assert.rejects(sized(2), /less free space than the content needs/)
  })
})

const skip = kuboBinary === undefined && 'KUBO_BIN does not name a Kubo binary'

describe('the size of pins, with Kubo', { skip }, () => {
  let kubo: RealKubo
  let cluster: TestCluster
  let first: TestPeer
  let other: TestPeer

  before(async () => {
    kubo = await startRealKubo(kuboBinary as string)
    cluster = await startCluster(2, (config, index) => (index === 0 ? withKubo(config, kubo.api) : config))
    ;[first, other] = cluster.peers as [TestPeer, TestPeer]
  })

  after(async () => {
    await cluster?.[Symbol.asyncDispose]()
    await kubo?.[Symbol.asyncDispose]()
  })

  test('is told on the way, recorded, and limited', async () => {
    const cid = await addTo(other, LARGE)
    await other.client.pin({ cid, options: { ...onlyOn(first), maxPinSize: BigInt(16 * MB) } })
    const { error } = await becomes(first, cid, 'pin_error')
    assert.match(error, /max_pin_size of the pin is 16 MB/)
    assert.ok(!(await kubo.ipfs(['pin', 'ls', '--type=recursive'])).includes(cid.toString()))
    await other.client.pin({ cid, options: onlyOn(first) })
    const { size } = await follow(first, cid)
    assert.ok(size > BigInt(LARGE) && size < BigInt(LARGE + MB))
  })
})
