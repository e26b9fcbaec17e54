import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { GlobalPinInfo, PinListing } from '@ipfs-cluster/api'
import {
  all,
  B,
  C,
  cidOf,
  createWorld,
  failed,
  hang,
  inOrder,
  listing,
  member,
  numbersOf,
  pinned,
  range,
  remote,
  SELF,
  statusOf,
} from './test-members.ts'

test('limit and cursor go through a listing of statuses', async () => {
  const { queries } = createWorld({
    [SELF]: member(range(100)),
    [B]: member(range(100), pinned, { kind: 'go' }),
  })
  const seen: number[] = []
  let cursor: PinListing['cursor'] = null
  while (true) {
    const items: GlobalPinInfo[] = await all(queries, 0, listing({ limit: 30, cursor }))
    assert.ok(items.every(item => statusOf(item, B) === pinned))
    seen.push(...numbersOf(items))
    const last = items.at(-1)
    if (last === undefined) break
    cursor = { cid: last.cid, name: last.name, created: last.created }
  }
  assert.deepEqual(seen, inOrder(range(100)))
  const local = await Array.fromAsync(
    queries.statusAllLocal(0, listing({ limit: 5, cursor: { cid: cidOf(9), name: '', created: null } })),
  )
  assert.deepEqual(numbersOf(local), [10, 11, 12, 13, 14])
})

test('chosen pins are asked for by their CIDs, of each peer as it can', async () => {
  const numbers = range(120)
  const { queries, asked } = createWorld({
    [SELF]: member(numbers),
    [B]: member(numbers.filter(n => n !== 11)),
    [C]: member(numbers, remote, { kind: 'go' }),
  })
  const byName = listing({ filter: { name: 'pin 11', match: 'prefix' } })
  const items = await all(queries, 0, byName)
  assert.deepEqual(
    items.map(({ name }) => name),
    [
      'pin 11',
      'pin 110',
      'pin 111',
      'pin 112',
      'pin 113',
      'pin 114',
      'pin 115',
      'pin 116',
      'pin 117',
      'pin 118',
      'pin 119',
    ],
  )
  assert.deepEqual(Object.keys(items[0]?.peerMap ?? {}).sort(), [SELF, C].sort())
  assert.deepEqual(
    [SELF, B, C].map(peer => statusOf(items[1], peer)),
    [pinned, pinned, remote],
  )
  assert.equal(asked.filter(call => call === `StatusMany ${B}`).length, 1)
  assert.equal(asked.filter(call => call === `Status ${C}`).length, 11)
  assert.ok(asked.every(call => !call.startsWith('StatusPages')))
  assert.deepEqual(
    await all(queries, failed | pinned, {
      listing: { ...byName.listing, filter: { ...byName.listing.filter, metadata: { n: '12' } } },
    }),
    [],
  )
  const some = await all(queries, remote, { listing: { ...byName.listing, limit: 2 } })
  assert.deepEqual(
    some.map(({ name, peerMap }) => [name, Object.keys(peerMap)]),
    [
      ['pin 11', [C]],
      ['pin 110', [C]],
    ],
  )
  const local = await Array.fromAsync(queries.statusAllLocal(0, byName))
  assert.deepEqual(Object.keys(local[0]?.peerMap ?? {}), [SELF])
})

test('a rare status is looked for first, and its pins are compared then', async () => {
  const { queries, asked } = createWorld({ [SELF]: member(range(500)), [B]: member([3, 30, 300], failed) })
  const items = await all(queries, failed, listing({ filter: { name: 'pin 30', match: 'prefix' } }))
  assert.deepEqual(numbersOf(items), inOrder([30, 300]))
  assert.deepEqual(asked, [`StatusPages ${B}`])
})

test('a peer that does not answer for chosen pins is asked once', async () => {
  const { queries, clock, asked } = createWorld({
    [SELF]: member(range(400)),
    [B]: member(range(400), pinned, { before: hang }),
  })
  const items = all(queries, 0, listing({ filter: { name: 'pin', match: 'prefix' } }))
  await clock.advance(3_000)
  assert.match((await items)[399]?.peerMap[B]?.error ?? '', /no answer within 3000 ms/)
  assert.equal(asked.length, 1)
})
