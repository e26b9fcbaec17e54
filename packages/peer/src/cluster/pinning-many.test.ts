import * as fc from 'fast-check'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import {
  DEFAULT_PIN_OPTIONS,
  encodePin,
  newPin,
  PIN_TYPE_BITS,
  type Metric,
  type Pin,
  type PinOptions,
  type PinRequest,
} from '@ipfs-cluster/api'
import { Channel, CodedError, errorCode, errorMessage, systemClock, type Clock } from '@ipfs-cluster/base'
import { encode as encodeCbor } from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { create } from 'multiformats/hashes/digest'
import type { PinListOptions } from '../state/index.ts'
import { createPinning } from './pinning.ts'
import type { ClusterConfig } from './types.ts'

const PEERS = [
  'QmXZrtE5jQwXNqCJMfHUTQkvhQ4ZAnqMnmzFMJfLewuabc',
  'QmUZ13osndQ5uL4tPWHXe3iBgBgq9gfewcBMSCAuMBsDJ6',
  'QmPGDFvBkgWhvzEK9qaTWrWurSwqXNmhnK3hgELPdZZNPa',
]
const cidOf = (n: number) => CID.createV1(raw.code, create(0x12, new Uint8Array(32).fill(n)))
const NOW = 1_700_000_000_000_000_000n

function metric(name: string, peer: string, i: number): Metric {
  const fields = {
    value: name === 'tag:group' ? `g${i % 2}` : '100',
    weight: name === 'tag:group' ? 0n : 100n,
  }
  return {
    name,
    peer,
    expire: 0n,
    valid: true,
    partitionable: name === 'tag:group',
    receivedAt: 0n,
    ...fields,
  }
}

const CONFIG = {
  replicationFactorMin: 1,
  replicationFactorMax: 2,
  allocateBy: ['tag:group', 'freespace'],
  followerMode: false,
} as unknown as ClusterConfig

/** A peer that only writes its pinset; `gate` holds up writing. */
function worldOf(config: Partial<ClusterConfig> = {}) {
  const pinset = new Map<string, Pin>()
  const world = { pinset, commits: [] as number[], reads: 0, pins: 0, gate: () => Promise.resolve() }
  const put = (pin: Pin) => void pinset.set(`${pin.cid}`, pin)
  const commit = async (count: number, change: () => void) => {
    await world.gate()
    world.commits.push(count)
    change()
  }
  const consensus = {
    state: {
      get: async (cid: CID) => pinset.get(`${cid}`),
      async *list({ types = 0 }: PinListOptions) {
        yield* [...pinset.values()].filter(pin => (PIN_TYPE_BITS[pin.type] & types) !== 0)
      },
      async getMany(cids: readonly CID[]) {
        world.reads++
        const found = cids.map(cid => pinset.get(`${cid}`))
        await turn()
        return found
      },
    },
    isTrusted: () => true,
    logPin: (pin: Pin) => commit(1, () => put(pin)),
    logUnpin: (cid: CID) => commit(1, () => pinset.delete(`${cid}`)),
    logPins: (pins: readonly Pin[]) => commit(pins.length, () => pins.forEach(put)),
    logUnpins: (cids: readonly CID[]) =>
      commit(cids.length, () => cids.forEach(cid => pinset.delete(`${cid}`))),
  }
  const clock: Clock = { ...systemClock, nowNs: () => NOW }
  const components = {
    self: PEERS[0] as string,
    consensus: consensus as never,
    monitor: { latest: (name: string) => PEERS.map((peer, i) => metric(name, peer, i)) },
    // The parts of cidOf(200) are those of any sharded content.
    ipfs: { blockGet: async () => encodeCbor({ 0: cidOf(201), 1: cidOf(202) }) } as never,
    clock,
    onPin: (count: number) => void (world.pins += count),
  }
  return { world, pinning: createPinning(components, { ...CONFIG, ...config }) }
}

const request = (n: number, options: Partial<PinOptions> = {}): PinRequest => ({
  cid: cidOf(n),
  options: { ...DEFAULT_PIN_OPTIONS, ...options },
})

async function* groupsOf<T>(...groups: T[][]) {
  yield* groups
}

const told = (error: unknown) =>
  error === undefined ? 'done' : `${errorCode(error) ?? ''}: ${errorMessage(error)}`

const anyOptions = fc
  .record(
    {
      name: fc.constantFrom('', 'a'),
      mode: fc.constantFrom<PinOptions['mode']>('recursive', 'direct'),
      factors: fc.constantFrom([0, 0], [-1, -1], [1, 1], [2, 3], [3, 3], [4, 5], [2, 1], [-1, 2]),
      expireAt: fc.constantFrom(null, NOW - 1n, NOW + 1_000_000_000_000n),
      pinUpdate: fc.option(fc.nat(4).map(cidOf), { freq: 4 }),
      userAllocations: fc.subarray(PEERS, { maxLength: 1 }),
    },
    { noNullPrototype: true },
  )
  .map(({ factors, ...options }): Partial<PinOptions> => {
    const [replicationFactorMin = 0, replicationFactorMax = 0] = factors
    return { ...options, replicationFactorMin, replicationFactorMax }
  })

const anyPins = fc.array(fc.tuple(fc.nat(4), fc.oneof(fc.constant({}), anyOptions)), { maxLength: 12 })
/** Many share one object of options, as the lines of a request do. */
const shared = DEFAULT_PIN_OPTIONS

test('pinned and unpinned in groups, the pinset is as after one call each', async () => {
  const anySteps = fc.array(
    fc.oneof(
      fc.record({ pins: fc.array(anyPins, { maxLength: 4 }) }),
      fc.record({ unpins: fc.array(fc.array(fc.nat(4), { maxLength: 4 }), { maxLength: 3 }) }),
    ),
    { maxLength: 3 },
  )
  await fc.assert(
    fc.asyncProperty(anySteps, async steps => {
      const [one, many] = [worldOf(), worldOf()]
      for (const step of steps) {
        if ('pins' in step) {
          const groups = step.pins.map(group =>
            group.map(([n, options]) =>
              Object.keys(options).length === 0 ? { cid: cidOf(n), options: shared } : request(n, options),
            ),
          )
          const outcomes = (await Array.fromAsync(many.pinning.pinMany(groupsOf(...groups)))).flat()
          const singles: unknown[] = []
          for (const { cid, options } of groups.flat()) {
            singles.push(
              await one.pinning.pin(cid, options).then(
                () => undefined,
                (error: unknown) => error,
              ),
            )
          }
          assert.deepEqual(outcomes.map(told), singles.map(told))
        } else {
          const groups = step.unpins.map(group => group.map(cidOf))
          const outcomes = (await Array.fromAsync(many.pinning.unpinMany(groupsOf(...groups)))).flat()
          const singles: unknown[] = []
          for (const cid of groups.flat()) {
            singles.push(
              await one.pinning.unpin(cid).then(
                () => undefined,
                (error: unknown) => error,
              ),
            )
          }
          assert.deepEqual(outcomes.map(told), singles.map(told))
        }
      }
      const bytes = ({ pinset }: typeof one.world) =>
        [...pinset].map(([cid, pin]) => [cid, Buffer.from(encodePin(pin)).toString('hex')]).sort()
      assert.deepEqual(bytes(many.world), bytes(one.world))
    }),
  )
})

test('a group is one look, one commit, and one count of its pins', async () => {
  const { world, pinning } = worldOf()
  const bad = new CodedError('no line', { code: 'BAD_PARAMETER' })
  const group = [request(1), bad, request(2), request(1, { name: 'last' }), request(3, { expireAt: 1n })]
  const [outcomes] = await Array.fromAsync(pinning.pinMany(groupsOf<PinRequest | Error>(group)))
  assert.deepEqual(outcomes?.map(told), [
    'done',
    'BAD_PARAMETER: no line',
    'done',
    'done',
    'BAD_EXPIRY: pin.ExpireAt set before current time',
  ])
  assert.deepEqual([world.reads, world.commits, world.pins], [1, [2], 2])
  assert.equal(world.pinset.get(`${cidOf(1)}`)?.name, 'last')
  await Array.fromAsync(pinning.pinMany(groupsOf<PinRequest | Error>([bad], [])))
  assert.deepEqual(world.commits, [2], 'nothing to write is not written')
})

test('the next group is prepared while one is written, and knows of it', async () => {
  const { world, pinning } = worldOf()
  const opened = Promise.withResolvers<void>()
  world.gate = () => opened.promise
  const groups = groupsOf([request(1)], [request(1, { mode: 'direct' })], [request(2)], [request(3)])
  const outcomes = pinning.pinMany(groups)[Symbol.asyncIterator]()
  const first = outcomes.next()
  while (world.reads < 3) await turn()
  for (let i = 0; i < 20; i++) await turn()
  assert.equal(world.reads, 3, 'one is being written, one waits, one has no place to wait')
  opened.resolve()
  assert.deepEqual((await first).value.map(told), ['done'])
  assert.match(told((await outcomes.next()).value[0]), /^PIN_MODE_MISMATCH/)
  assert.deepEqual((await outcomes.next()).value.map(told), ['done'])
  await outcomes.return?.()
})

test('outcomes do not wait for the group after', async () => {
  const { pinning } = worldOf()
  const groups = new Channel<PinRequest[]>(10)
  const outcomes = pinning.pinMany(groups)[Symbol.asyncIterator]()
  for (let n = 1; n <= 3; n++) {
    await groups.push([request(n)])
    assert.deepEqual((await outcomes.next()).value, [undefined])
  }
  groups.end()
  assert.equal((await outcomes.next()).done, true)
})

test('a full queue is waited for, in order; any other failure ends it, and nothing after it is written', async () => {
  const { world, pinning } = worldOf()
  let refusals = 3
  world.gate = async () => {
    if (refusals-- > 0) throw new CodedError('full', { code: 'CRDT_QUEUE_FULL' })
  }
  const both = groupsOf([request(1)], [request(1, { name: 'second' })])
  assert.equal((await Array.fromAsync(pinning.pinMany(both))).flat().length, 2)
  assert.equal(world.pinset.get(`${cidOf(1)}`)?.name, 'second')

  const broken = worldOf()
  let writes = 0
  broken.world.gate = async () => {
    if (++writes === 2) throw new CodedError('no space left', { code: 'ENOSPC' })
  }
  const got: unknown[] = []
  await assert.rejects(
    async () => {
      const groups = groupsOf([request(1)], [request(2)], [request(3)])
      for await (const outcomes of broken.pinning.pinMany(groups)) got.push(...outcomes)
    },
    { code: 'ENOSPC' },
  )
  assert.deepEqual([got, [...broken.world.pinset.keys()]], [[undefined], [`${cidOf(1)}`]])
})

test('what the groups throw is thrown, and an abort ends the waiting', async () => {
  const { world, pinning } = worldOf()
  async function* failing() {
    yield [request(1)]
    throw new RangeError('the body ended early')
  }
  const got: unknown[] = []
  await assert.rejects(async () => {
    for await (const outcomes of pinning.pinMany(failing())) got.push(...outcomes)
  }, RangeError)
  assert.deepEqual(got, [undefined])
  world.gate = async () => {
    throw new CodedError('full', { code: 'CRDT_QUEUE_FULL' })
  }
  const abort = new AbortController()
  const waiting = Array.fromAsync(pinning.pinMany(groupsOf([request(2)]), { signal: abort.signal }))
  setTimeout(() => abort.abort(new RangeError('gone')), 30)
  await assert.rejects(waiting, { message: 'gone' })
})

test('sharded content goes with its root, and its parts not without it', async () => {
  const { world, pinning } = worldOf()
  for (const [n, type] of [
    [200, 'meta-pin'],
    [201, 'shard-pin'],
    [202, 'shard-pin'],
    [203, 'clusterdag-pin'],
  ] as const) {
    world.pinset.set(`${cidOf(n)}`, newPin(cidOf(n), { type, reference: n === 200 ? cidOf(203) : null }))
  }
  const outcomes = await Array.fromAsync(
    pinning.unpinMany(groupsOf([cidOf(201), cidOf(203), cidOf(200), cidOf(202), cidOf(9)])),
  )
  assert.deepEqual(outcomes.flat().map(errorCode), [
    'UNPIN_SHARD',
    'UNPIN_SHARD',
    undefined,
    'UNPIN_SHARD',
    'PIN_NOT_FOUND',
  ])
  assert.equal(world.pinset.size, 0)
})

test('a follower refuses all at once', () => {
  const { pinning } = worldOf({ followerMode: true })
  assert.throws(() => pinning.pinMany(groupsOf([request(1)])), { code: 'FOLLOWER_MODE' })
  assert.throws(() => pinning.unpinMany(groupsOf([cidOf(1)])), { code: 'FOLLOWER_MODE' })
})
