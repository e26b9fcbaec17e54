/** A disk that fills up and is emptied again, under a peer that goes on. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { waitFor } from '@ipfs-cluster/testkit'
import { startBed } from '../bench/bed.ts'
import { LOOPBACK, preparePeer, type InteropPeer } from '../interop/peers.ts'
import { stablePorts } from '../interop/ports.ts'
import { Expected } from './expected.ts'
import { noSmallDisk, smallDisk, type SmallDisk } from './small-disk.ts'
import { createTraffic, MODES, type Mode, type Traffic } from './traffic.ts'

const skip = noSmallDisk()
const options = skip === undefined ? {} : { skip }

const KIB = 1024
const NO_SPACE = /no space left on the disk of .*: nothing was changed; free some/
const CID = 'bafkreifvjsscrn3xmx4zs53cvhebb64ijnnxj7tk5skoiyad6cpkwltbdm'
/** How long pins come in while there is room: some thousands. Milliseconds. */
const SPELL_MS: Readonly<Record<Mode, number>> = { single: 500, batched: 500, bulk: 100 }
/** Lines of trouble that may be written while the disk is full: each part that writes says it once, and a loop would say it hundreds of times. */
const MAX_COMPLAINTS = 12

async function trafficFor(traffic: Traffic, peer: InteropPeer, ms: number): Promise<void> {
  const stop = new AbortController()
  const running = traffic.run(peer.rest, stop.signal)
  await delay(ms)
  stop.abort()
  await running
}

/** A bed whose folders are on `disk`. */
async function bedOn(disk: SmallDisk, batching: boolean) {
  const before = process.env['TMPDIR']
  process.env['TMPDIR'] = disk.folder
  try {
    return await startBed({ kind: 'ts', batching, pinDelayMs: 1 })
  } finally {
    if (before === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = before
  }
}

async function pinset(peer: InteropPeer): Promise<Set<string>> {
  return new Set((await peer.list('/allocations')).map(({ cid }) => cid))
}

/** Everything acknowledged is there, and ends on the daemon. */
async function nothingLost(peer: InteropPeer, expected: Expected): Promise<void> {
  const found = await pinset(peer)
  assert.deepEqual(expected.compare(found), { missing: [], surplus: [] })
  expected.settle(found)
}

async function allPinned(peer: InteropPeer): Promise<void> {
  // Whoever lists tens of thousands of pins again and again keeps the peer from pinning them.
  const isIdle = async () =>
    (await peer.list('/pins?local=true&filter=queued,pinning,unpinning,error&limit=1')).length === 0
  const areAll = async () =>
    (await peer.list('/pins?local=true')).every(({ peer_map: map }) => map[peer.id].status === 'pinned')
  await waitFor(async () => (await isIdle()) && (await areAll()), {
    timeoutMs: 60_000,
    intervalMs: 200,
    what: 'everything pinned',
  })
}

async function freshWorks(peer: InteropPeer): Promise<void> {
  await waitFor(() => peer.request('POST', `/pins/${CID}`), {
    timeoutMs: 15_000,
    what: 'a pin is taken again',
  })
  await peer.request('DELETE', `/pins/${CID}`)
}

for (const mode of MODES) {
  test(
    `full during ingest, ${mode}: 507, reading goes on, and so does writing once there is room`,
    options,
    async () => {
      await using disk = await smallDisk(96)
      await using bed = await bedOn(disk, mode === 'batched')
      const peer = bed.peers[0] as InteropPeer
      const expected = new Expected()
      const traffic = createTraffic(`full ${mode}`, mode, expected)
      for (let round = 0; round < 2; round++) {
        await trafficFor(traffic, peer, SPELL_MS[mode])
        await disk.fill((round + 1) * 150 * KIB)
        const sure = expected.acknowledged
        await trafficFor(traffic, peer, 2_000)
        assert.ok(expected.acknowledged < sure + 5_000)
        const refused = await fetch(`${peer.rest}/pins/${CID}`, { method: 'POST' })
        const text = await refused.text()
        assert.equal(refused.status, 507, text)
        assert.match(text, NO_SPACE)
        assert.ok(text.includes(join(peer.folder, 'store')), text)
        await nothingLost(peer, expected)
        await peer.list('/pins?local=true')
        await peer.json('/id')
        const before = peer.log.length
        await delay(2_000)
        const complaints = peer.log.slice(before).split('\n').length
        assert.ok(complaints < MAX_COMPLAINTS, peer.log.slice(before))
        await disk.free()
        await freshWorks(peer)
      }
      assert.deepEqual(
        [...traffic.refused.keys()].filter(what => !/ (507|429)$/.test(what)),
        [],
      )
      await trafficFor(traffic, peer, SPELL_MS[mode])
      await allPinned(peer)
      await peer.kill9()
      await peer.start()
      await nothingLost(peer, expected)
      await allPinned(peer)
    },
  )
}

test(
  'full while a peer starts, with queued operations to replay: it says so and ends; with room it has everything',
  options,
  async () => {
    await using disk = await smallDisk(96)
    await using bed = await bedOn(disk, true)
    const peer = bed.peers[0] as InteropPeer
    const expected = new Expected()
    const traffic = createTraffic('full at start', 'batched', expected)
    await trafficFor(traffic, peer, 700)
    const stop = new AbortController()
    const running = traffic.run(peer.rest, stop.signal).catch(() => undefined)
    await delay(200)
    await peer.kill9()
    stop.abort()
    await running
    await disk.fill(0)
    await assert.rejects(peer.start(), /no space left on the disk of .*store/)
    await disk.free()
    await disk.fill(4 * 1024 * KIB)
    // Enough to open, perhaps not enough to go on.
    await peer.start().catch(() => undefined)
    await disk.free()
    await peer.kill9()
    await peer.start()
    await nothingLost(peer, expected)
    await allPinned(peer)
  },
)

test('full during a state import: it fails, and the old pinset is there', options, async () => {
  await using disk = await smallDisk(96)
  await using bed = await bedOn(disk, false)
  const peer = bed.peers[0] as InteropPeer
  const expected = new Expected()
  await trafficFor(createTraffic('before import', 'single', expected), peer, 500)
  await nothingLost(peer, expected)
  await peer.stop()
  const exported = await peer.run(['state', 'export'])
  const before = exported.stdout.split('\n').length
  await disk.fill(300 * KIB)
  const many = exported.stdout.split('\n').filter(line => line !== '')
  const large = many
    .map(line => line.replace('"name":""', `"name":"${randomBytes(2_000).toString('hex')}"`))
    .join('\n')
  const failed = await peer.run(['state', 'import', '--force'], `${large}\n`)
  assert.notEqual(failed.code, 0)
  assert.match(failed.stdout + failed.stderr, /no space left on the disk of .*store/)
  await disk.free()
  assert.equal((await peer.run(['state', 'export'])).stdout.split('\n').length, before)
  await peer.start()
  await nothingLost(peer, expected)
})

test(
  'the built-in node, full during adds: an error that says so, reading goes on, and so do adds once there is room',
  options,
  async () => {
    await using disk = await smallDisk(420)
    const [swarmPort = 0, restPort = 0] = await stablePorts(2)
    await using peer = await preparePeer({
      kind: 'ts',
      name: 'full',
      folder: join(disk.folder, 'peer'),
      place: LOOPBACK,
      swarmPort,
      restPort,
      secret: randomBytes(32).toString('hex'),
    })
    await peer.start()
    const add = async (bytes: number) => {
      const form = new FormData()
      form.append('file', new Blob([randomBytes(bytes)]), 'file')
      const response = await fetch(`${peer.rest}/add?stream-channels=false`, { method: 'POST', body: form })
      const text = await response.text()
      return { status: response.status, text, cid: response.ok ? JSON.parse(text)[0].cid : '' }
    }
    const kept = await add(1_000_000)
    assert.equal(kept.status, 200, kept.text)
    for (const leave of [200 * 1024 * KIB, 0]) {
      await disk.fill(leave)
      const refused = await add(3_000_000)
      assert.equal(refused.status, 500, refused.text)
      assert.match(
        refused.text,
        /the disk of .*segments has \d+ to spare; free some space|no space left on the disk of/,
      )
      assert.equal((await pinset(peer)).size, leave === 0 ? 2 : 1)
      await disk.free()
      const again = await waitFor(
        async () => {
          const answer = await add(100_000)
          assert.equal(answer.status, 200, answer.text)
          return answer
        },
        { timeoutMs: 15_000, what: 'adds go on' },
      )
      assert.ok(again.cid !== '')
    }
    await allPinned(peer)
    await peer.kill9()
    await peer.start()
    assert.ok((await pinset(peer)).has(kept.cid))
    await allPinned(peer)
  },
)
