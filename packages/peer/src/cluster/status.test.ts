import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TRACKER_STATUS } from '@ipfs-cluster/api'
import { batchesOf, compareBytes } from '@ipfs-cluster/base'
import { decodeStatusRows, RPC, type StatusPage } from '../net/index.ts'
import { statusPages } from './status-sources.ts'
import {
  all,
  B,
  C,
  createWorld,
  failed,
  hang,
  inOrder,
  member,
  numberOf,
  numbersOf,
  pinned,
  range,
  remote,
  SELF,
  statusOf,
  trackerOf,
} from './test-members.ts'

test('peers of both kinds are merged, with what our own pinset says of each pin', async () => {
  const numbers = range(120)
  const { queries, asked } = createWorld({
    [SELF]: member(numbers),
    [B]: member(numbers, remote),
    [C]: member(numbers, pinned, { kind: 'go' }),
  })
  const items = await all(queries)
  assert.deepEqual(numbersOf(items), inOrder(numbers))
  for (const item of items) {
    assert.deepEqual(
      [SELF, B, C].map(peer => statusOf(item, peer)),
      [pinned, remote, pinned],
    )
    assert.equal(item.name, `pin ${numberOf(item)}`)
    assert.equal(item.peerMap[B]?.peerName, `name of ${B}`)
  }
  assert.deepEqual(asked.sort(), [`StatusAll ${C}`, `StatusPages ${B}`, `StatusPages ${C}`].sort())
})

test('the filter travels to the peers', async () => {
  const world = createWorld({
    [SELF]: member(range(50)),
    [B]: member([1, 2, 60], failed),
    [C]: member([2], failed),
  })
  const items = await all(world.queries, failed)
  assert.deepEqual(numbersOf(items), inOrder([1, 2, 60]))
  assert.deepEqual(Object.keys(items.find(item => numberOf(item) === 2)?.peerMap ?? {}).sort(), [B, C].sort())
})

test('what others have and we do not is told as they know it, and asked for in one call a batch', async () => {
  const { queries, asked } = createWorld({ [SELF]: member([1]), [B]: member(range(40)) })
  const items = await all(queries)
  assert.deepEqual(numbersOf(items), inOrder(range(40)))
  assert.ok(items.every(item => item.name === `pin ${numberOf(item)}`))
  assert.ok(asked.filter(call => call.startsWith('StatusMany')).length <= 2)
})

test('a silent peer holds up the others for its deadline, and is named with it', async () => {
  const { queries, clock } = createWorld({
    [SELF]: member(range(200)),
    [B]: member(range(200)),
    [C]: member(range(200), pinned, { before: hang }),
  })
  const items = all(queries)
  await clock.advance(2_999)
  let over = false
  void items.then(() => (over = true))
  await clock.advance(0)
  assert.equal(over, false)
  await clock.advance(10)
  for (const item of await items) {
    assert.equal(statusOf(item, B), pinned)
    assert.equal(statusOf(item, C), TRACKER_STATUS.cluster_error)
    assert.match(item.peerMap[C]?.error ?? '', /no answer within 3000 ms/)
  }
})

test('a peer that dies in the middle is an error from there on; one that does not trust us is left out', async () => {
  const untrusting = Object.assign(new Error('no'), { code: 'RPC_UNAUTHORIZED' })
  const { queries } = createWorld({
    [SELF]: member(range(200)),
    [B]: member(range(200), pinned, {
      before: n => (n < 3 ? Promise.resolve() : Promise.reject(new Error('connection lost'))),
    }),
    [C]: member(range(200), pinned, { before: () => Promise.reject(untrusting) }),
  })
  const items = await all(queries)
  assert.equal(items.length, 200)
  assert.equal(statusOf(items[0], B), pinned)
  assert.equal(statusOf(items[199], B), TRACKER_STATUS.cluster_error)
  assert.equal(items[199]?.peerMap[B]?.error, 'connection lost')
  assert.ok(items.every(item => item.peerMap[C] === undefined))
})

test('a slow peer is waited for as long as it keeps up its rate, a trickle is not', async () => {
  const slow = (ms: number) => {
    const world = createWorld({
      [SELF]: member(range(400)),
      [B]: member(range(400), pinned, {
        before: (_n, { signal }) => world.clock.sleep(ms, { signal }),
      }),
    })
    return world
  }
  for (const [ms, status] of [
    [90, pinned],
    [1_500, TRACKER_STATUS.cluster_error],
  ] as const) {
    const world = slow(ms)
    const items = all(world.queries)
    await world.clock.advance(20_000)
    assert.equal(statusOf((await items)[399], B), status)
  }
})

test('a Go peer that stops in its list is given up, too', async () => {
  const { queries, clock } = createWorld({
    [SELF]: member(range(100)),
    [B]: member(range(100), pinned, {
      kind: 'go',
      before: (n, options) => (n < 50 ? Promise.resolve() : hang(n, options)),
    }),
  })
  const items = all(queries)
  await clock.advance(15_100)
  assert.ok((await items).every(item => statusOf(item, B) === TRACKER_STATUS.cluster_error))
})

test('a long list of a Go peer is sorted on the disk', async () => {
  const count = 1_000
  const { queries, scratches } = createWorld({
    [SELF]: member([]),
    [B]: member(range(count), pinned, { kind: 'go' }),
  })
  let last: Uint8Array | undefined
  let items = 0
  for await (const batch of batchesOf(queries.statusAll(0))) {
    for (const { cid, name } of batch) {
      assert.ok(last === undefined || compareBytes(last, cid.bytes) < 0)
      assert.equal(name, `pin ${numberOf({ cid })}`)
      last = cid.bytes
      items++
    }
  }
  assert.deepEqual([items, scratches()], [count, 1])
})

test('recovery everywhere tells what was queued again', async () => {
  const { queries } = createWorld({
    [SELF]: member([5, 1], failed),
    [B]: member([3, 1], failed),
    [C]: member([2]),
  })
  const items = await Array.fromAsync(queries.recoverAll())
  assert.deepEqual(numbersOf(items), inOrder([1, 3, 5]))
})

test('a list begins with who speaks, and has no more of a pin than may differ', async () => {
  const pages: StatusPage[] = await Array.fromAsync(
    statusPages(
      trackerOf(B, member([1])) as never,
      () => ({ peerName: 'b', ipfs: '', ipfsAddresses: [] }),
      { filter: 0, after: null },
      {},
    ),
  )
  assert.deepEqual(
    pages.map(({ speaker }) => speaker?.peerName),
    ['b', undefined],
  )
  assert.deepEqual(
    decodeStatusRows(
      pages[1]?.rows ?? new Uint8Array(0),
      { peerName: 'b', ipfs: '', ipfsAddresses: [] },
      undefined,
    ).length,
    1,
  )
  assert.equal(RPC.PinTracker.StatusPages.policy, 'trusted')
})
