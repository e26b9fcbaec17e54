import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import fc from 'fast-check'
import { createMeter, raceSignal, systemClock, type Clock } from '@ipfs-cluster/base'
import { createAttacker, dialVictim, gaugeOf } from './test-attacker.ts'
import { createTestNetwork, addressOf, until } from './test-network.ts'
import { connectionsToClose, type TrimCandidate, type TrimRules } from './trim.ts'

const rules: TrimRules = {
  now: 1_000_000,
  lowWater: 3,
  highWater: 6,
  gracePeriodMs: 1000,
  isProtected: () => false,
}

const connection = (id: number, more: Partial<TrimCandidate> = {}): TrimCandidate => ({
  id: `c${id}`,
  peer: `p${id}`,
  openedAt: 0,
  inbound: true,
  streams: 1,
  value: 0,
  ...more,
})

describe('connections to close', () => {
  test('none below the high water mark', () => {
    assert.deepEqual(
      connectionsToClose(
        [1, 2, 3, 4, 5].map(id => connection(id)),
        rules,
      ),
      [],
    )
  })

  test('down to the low water mark, the least valuable, idle and inbound first', () => {
    const all = [
      connection(1, { value: 1 }),
      connection(2, { streams: 5 }),
      connection(3, { inbound: false }),
      connection(4),
      connection(5, { streams: 0, value: 1 }),
      connection(6, { streams: 2 }),
    ]
    assert.deepEqual(connectionsToClose(all, rules), ['c4', 'c3', 'c6'])
  })

  test('never of protected peers, nor of new ones', () => {
    const all = Array.from({ length: 10 }, (_, id) =>
      connection(id, id < 3 ? { openedAt: rules.now - 999 } : {}),
    )
    const isProtected = (peer: string) => peer === 'p9' || peer === 'p8'
    // Five may go, three of them stay.
    assert.deepEqual(connectionsToClose(all, { ...rules, isProtected }), ['c3', 'c4'])
  })

  test('all of a peer or none; the oldest says how long it is there', () => {
    const double = [connection(1), connection(11, { peer: 'p1', openedAt: rules.now })]
    const all = [
      ...double,
      connection(2),
      connection(3, { streams: 9 }),
      connection(4, { streams: 9 }),
      connection(5),
    ]
    assert.deepEqual(connectionsToClose(all, rules), ['c2', 'c5', 'c1', 'c11'])
  })

  test('whatever there is', () => {
    const arbitrary = fc.array(
      fc.record({
        peer: fc.integer({ min: 0, max: 20 }).map(id => `p${id}`),
        openedAt: fc.constantFrom(0, rules.now),
        inbound: fc.boolean(),
        streams: fc.nat(3),
        value: fc.constant(0),
      }),
      { maxLength: 40 },
    )
    fc.assert(
      fc.property(arbitrary, list => {
        const all = list.map((one, index) => ({ ...one, id: `c${index}` }))
        const isProtected = (peer: string) => peer === 'p0'
        const closed = new Set(connectionsToClose(all, { ...rules, isProtected }))
        const left = all.filter(({ id }) => !closed.has(id))
        if (all.length < rules.highWater) assert.equal(closed.size, 0)
        // The last peer to go goes with all it has.
        const most = Math.max(0, ...[...Map.groupBy(all, ({ peer }) => peer).values()].map(own => own.length))
        if (closed.size > 0) assert.ok(left.length > rules.lowWater - most)
        assert.ok(all.every(({ id, peer }) => !closed.has(id) || peer !== 'p0'))
        for (const { id, peer } of all) {
          if (closed.has(id)) assert.ok(all.every(other => other.peer !== peer || closed.has(other.id)))
        }
      }),
    )
  })
})

describe('a network', () => {
  const owned = new AsyncDisposableStack()
  after(() => owned.disposeAsync())

  test('closes surplus connections, but not to its mesh nor to protected peers', async () => {
    const meter = createMeter()
    const connectionManager = { highWater: 8, lowWater: 2, gracePeriodMs: 0 }
    const gate = Promise.withResolvers<void>()
    const clock: Clock = {
      ...systemClock,
      sleep: (ms, options) =>
        ms === 10_000
          ? raceSignal(gate.promise, options?.signal).then(() => systemClock.sleep(10, options))
          : systemClock.sleep(ms, options),
    }
    const network = owned.use(await createTestNetwork({ meter, connectionManager, clock }))
    const [friend, mate] = [owned.use(await createTestNetwork()), owned.use(await createTestNetwork())]
    await network.connect(addressOf(friend))
    await network.protect(friend.peerId)
    await network.connect(addressOf(mate))
    let heard = 0
    network.subscribe('t', () => void heard++)
    mate.subscribe('t', () => undefined)
    await until(async () => {
      await mate.publish('t', new Uint8Array(1))
      return heard > 0
    })
    const others = await Promise.all(Array.from({ length: 7 }, () => createAttacker()))
    for (const other of others) await dialVictim(owned.use(other), network)
    await until(() => gaugeOf(meter, 'ipfscluster_net_connections', 'inbound') === 7)
    gate.resolve()
    // Seven may go, two of them stay.
    await until(() => gaugeOf(meter, 'ipfscluster_net_connections', 'inbound') === 2)
    const connected = network.connectedPeers()
    assert.ok(connected.includes(friend.peerId) && connected.includes(mate.peerId))
  })
})
