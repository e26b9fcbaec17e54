import {
  createTaskScope,
  raceSignal,
  silentLogger,
  systemClock,
  type Clock,
  type TaskScope,
} from '@ipfs-cluster/base'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CID } from 'multiformats/cid'
import { keyOfCid } from './cid-bytes.ts'
import { bitswapConfig, type BitswapConfig } from './config.ts'
import { PeerWants } from './peer-wants.ts'
import { testBlock, testBlocks, type TestBlock } from './test-hosts.ts'
import { createVerifier } from './verify.ts'
import { createSessionState } from './want.ts'
import { WantManager } from './want-manager.ts'

/** Time that stands still until the test moves it. */
class ManualClock implements Clock {
  #now = 1_000_000
  readonly #sleepers = new Set<{ readonly at: number; readonly wake: () => void }>()
  readonly now = () => this.#now
  readonly monotonic = () => this.#now
  readonly nowNs = () => BigInt(this.#now) * 1_000_000n
  readonly timeout = systemClock.timeout

  async sleep(ms: number, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const sleeper = { at: this.#now + ms, wake: resolve }
    this.#sleepers.add(sleeper)
    await raceSignal(promise, signal).finally(() => this.#sleepers.delete(sleeper))
  }

  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    while (this.#now < end) {
      this.#now = Math.min(end, this.#now + 50)
      for (const sleeper of this.#sleepers) if (sleeper.at <= this.#now) sleeper.wake()
      await new Promise(resolve => setImmediate(resolve))
    }
  }
}

class Bench implements AsyncDisposable {
  readonly clock = new ManualClock()
  readonly config: BitswapConfig
  readonly tasks: TaskScope = createTaskScope(silentLogger)
  readonly manager: WantManager

  constructor(config: Partial<BitswapConfig> = {}) {
    this.config = bitswapConfig(config)
    this.manager = new WantManager({
      clock: this.clock,
      config: this.config,
      verifier: createVerifier([]),
      tasks: this.tasks,
    })
  }

  peer(id: string): PeerWants {
    const peer = new PeerWants(id, {
      maxWantsInFlight: this.config.maxWantsInFlight,
      now: this.clock.monotonic,
      wake: () => undefined,
    })
    this.manager.addPeer(peer)
    return peer
  }

  /** A call that the test does not wait for. */
  want(block: TestBlock, providers: readonly string[] = [], session = createSessionState([], false)): void {
    this.manager.get(block.cid, session, { providers }).catch(() => undefined)
  }

  /** A sign of life without an answer. */
  hear(peer: PeerWants): void {
    peer.lastHeardAt = this.clock.monotonic()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.manager.close(new Error('over'))
    await this.tasks[Symbol.asyncDispose]()
  }
}

/** What would be told to the peer now, one word a want: the kind and the first four bytes of the digest. */
function told(peer: PeerWants): string[] {
  return peer.take(1 << 20, true).map(entry => {
    const kind = entry.cancel ? 'cancel' : entry.wantHave ? 'have' : 'block'
    return `${kind} ${nameOf(CID.decode(entry.cid))}`
  })
}

const nameOf = (cid: CID) => Buffer.from(cid.multihash.digest.subarray(0, 4)).toString('hex')

test('without a hint everybody is asked whether they have it, the first to have it for the block', async () => {
  await using bench = new Bench()
  const [a, b, c] = [bench.peer('a'), bench.peer('b'), bench.peer('c')]
  const block = await testBlock(1)
  const name = nameOf(block.cid)
  bench.want(block)
  for (const peer of [a, b, c]) assert.deepEqual(told(peer), [`have ${name}`])
  bench.manager.onDontHave(a, keyOfCid(block.cid))
  bench.manager.onHave(b, keyOfCid(block.cid))
  bench.manager.onHave(c, keyOfCid(block.cid))
  assert.deepEqual([told(a), told(b), told(c)], [[], [`block ${name}`], []])
  bench.manager.onDontHave(b, keyOfCid(block.cid))
  assert.deepEqual([told(a), told(b), told(c)], [[], [], [`block ${name}`]])
  bench.manager.onBlock(c, keyOfCid(block.cid), block.data)
  // c has forgotten the want with its answer; a and b remember what they lack.
  assert.deepEqual([told(a), told(b), told(c)], [[`cancel ${name}`], [`cancel ${name}`], []])
  assert.equal(bench.manager.pending, 0)
})

test('the fan-out is bounded, and goes on to other peers in the next round', async () => {
  await using bench = new Bench({ maxBroadcastPeers: 2, retryMinMs: 100 })
  const peers = ['a', 'b', 'c', 'd'].map(id => bench.peer(id))
  const block = await testBlock(1)
  bench.want(block)
  const asked = () => peers.filter(peer => told(peer).length > 0).map(peer => peer.id)
  assert.deepEqual(asked(), ['a', 'b'])
  for (const peer of peers) bench.manager.onDontHave(peer, keyOfCid(block.cid))
  await bench.clock.advance(1000)
  assert.deepEqual(asked(), ['c', 'd'])
})

test('pauses between rounds grow up to the longest', async () => {
  await using bench = new Bench({ retryMinMs: 1000, retryMaxMs: 8000 })
  const a = bench.peer('a')
  const block = await testBlock(1)
  bench.want(block)
  assert.equal(told(a).length, 1)
  const rounds: number[] = []
  let waited = 0
  while (rounds.length < 6) {
    bench.manager.onDontHave(a, keyOfCid(block.cid))
    waited = 0
    while (told(a).length === 0) {
      await bench.clock.advance(250)
      waited += 250
    }
    rounds.push(waited)
  }
  const expected = [1000, 2000, 4000, 8000, 8000, 8000]
  for (const [i, pause] of rounds.entries()) {
    const wanted = expected[i] ?? 0
    assert.ok(pause >= wanted && pause <= wanted + 750, `round ${i}: ${pause} ms`)
  }
})

test('a silent provider is overtaken after the stall time, given up after the answer time', async () => {
  await using bench = new Bench({ retryMinMs: 60_000, retryMaxMs: 60_000 })
  const a = bench.peer('a')
  const b = bench.peer('b')
  const block = await testBlock(1)
  const name = nameOf(block.cid)
  bench.want(block, ['a'])
  assert.deepEqual([told(a), told(b)], [[`block ${name}`], []])
  await bench.clock.advance(900)
  assert.deepEqual(told(b), [])
  await bench.clock.advance(500)
  assert.deepEqual([told(a), told(b)], [[], [`have ${name}`]])
  assert.equal(a.load, 1)
  await bench.clock.advance(9_500)
  assert.equal(a.load, 0)
})

test('a provider that delivers other things is waited for, not for ever', async () => {
  await using bench = new Bench({ retryMinMs: 60_000, retryMaxMs: 60_000 })
  const a = bench.peer('a')
  const b = bench.peer('b')
  const block = await testBlock(1)
  bench.want(block, ['a'])
  told(a)
  for (let second = 0; second < 29; second++) {
    await bench.clock.advance(950)
    bench.hear(a)
  }
  assert.deepEqual(told(b), [])
  for (let second = 0; second < 5; second++) {
    await bench.clock.advance(950)
    bench.hear(a)
  }
  assert.equal(told(b).length, 1)
})

test('wrong bytes exclude their sender, at once when it is clear which want they are for', async () => {
  await using bench = new Bench({ retryMinMs: 100 })
  const a = bench.peer('a')
  const block = await testBlock(1)
  bench.want(block, ['a'])
  assert.equal(told(a).length, 1)
  bench.manager.onBlock(a, keyOfCid((await testBlock(2)).cid), new Uint8Array(5))
  assert.equal(bench.manager.invalidBlocks, 1)
  await bench.clock.advance(60_000)
  assert.deepEqual(told(a), [])
  const b = bench.peer('b')
  assert.equal(told(b).length, 1)
})

test('of several wants the one that stays unanswered is the wrong one', async () => {
  await using bench = new Bench({ retryMinMs: 100 })
  const a = bench.peer('a')
  const [one, two] = (await testBlocks(2)) as [TestBlock, TestBlock]
  bench.want(one, ['a'])
  bench.want(two, ['a'])
  told(a)
  bench.manager.onBlock(a, undefined, new Uint8Array(5))
  bench.manager.onBlock(a, keyOfCid(one.cid), one.data)
  for (let second = 0; second < 30; second++) {
    await bench.clock.advance(950)
    bench.hear(a)
  }
  assert.deepEqual(told(a), [])
  assert.equal(bench.manager.pending, 1)
})

test('a second copy of a block is a duplicate, not an offence', async () => {
  await using bench = new Bench()
  const a = bench.peer('a')
  const block = await testBlock(1)
  bench.want(block)
  bench.manager.onBlock(a, keyOfCid(block.cid), block.data)
  bench.manager.onBlock(a, keyOfCid(block.cid), block.data)
  assert.equal(bench.manager.duplicateBlocks, 1)
  assert.equal(bench.manager.invalidBlocks, 0)
})

test('wants beyond the window wait here, and the first peer with room takes them', async () => {
  await using bench = new Bench({ maxWantsInFlight: 3 })
  const a = bench.peer('a')
  const b = bench.peer('b')
  const blocks = await testBlocks(10)
  for (const block of blocks) bench.want(block, ['a', 'b'])
  assert.equal(told(a).length, 3)
  assert.equal(told(b).length, 3)
  for (const block of blocks.slice(0, 6)) bench.manager.onBlock(b, keyOfCid(block.cid), block.data)
  const rest = [...told(a), ...told(b)].filter(line => line.startsWith('block'))
  assert.deepEqual(
    rest.sort(),
    blocks
      .slice(6)
      .map(({ cid }) => `block ${nameOf(cid)}`)
      .sort(),
  )
})

test('a want given up before it was told is never told', async () => {
  await using bench = new Bench()
  const a = bench.peer('a')
  const controller = new AbortController()
  const block = await testBlock(1)
  const wanted = bench.manager.get(block.cid, createSessionState([], false), controller)
  controller.abort()
  await assert.rejects(wanted, { name: 'AbortError' })
  assert.deepEqual(told(a), [])
  assert.equal(a.load, 0)
})

test('a session stops preferring a peer that keeps missing', async () => {
  await using bench = new Bench({ retryMinMs: 60_000, retryMaxMs: 60_000 })
  const a = bench.peer('a')
  const b = bench.peer('b')
  const session = createSessionState([], false)
  const blocks = await testBlocks(20)
  bench.want(blocks[0] as TestBlock, [], session)
  bench.manager.onBlock(a, keyOfCid((blocks[0] as TestBlock).cid), (blocks[0] as TestBlock).data)
  told(a)
  told(b)
  const direct: boolean[] = []
  for (const block of blocks.slice(1)) {
    bench.want(block, [], session)
    direct.push(told(a).some(line => line.startsWith('block')) && told(b).length === 0)
    bench.manager.onDontHave(a, keyOfCid(block.cid))
    told(b)
  }
  assert.equal(direct.filter(Boolean).length, 8)
})

test('wants of a lost peer go to the others', async () => {
  await using bench = new Bench()
  const a = bench.peer('a')
  const b = bench.peer('b')
  const blocks = await testBlocks(5)
  for (const block of blocks) bench.want(block, ['a'])
  assert.equal(told(a).length, 5)
  bench.manager.removePeer(a)
  // The only one left is asked for the blocks at once.
  assert.deepEqual(
    told(b),
    blocks.map(({ cid }) => `block ${nameOf(cid)}`),
  )
})
