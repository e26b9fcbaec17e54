import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newPin, parseCid, type Pin } from '@ipfs-cluster/api'
import {
  createMemoryStore,
  seededRandom,
  silentLogger,
  systemClock,
  type Logger,
  type JournaledStore,
} from '@ipfs-cluster/base'
import { markCrdt, summarizeCrdt } from '@ipfs-cluster/crdt'
import { createPinState, openPinOutbox } from '../state/index.ts'
import { pinsOf } from '../state/test-state.ts'
import { openOfflineState, repairMarkedState } from './offline.ts'

const CIDS = [
  'bafkreih5aznjvttude6c3wbvqeebb6rlx5wkbzyppv7garjiubll2ceym4',
  'QmUaFyXjZUNaUwYF8rBtbJc7fEJ46aJXvgV8z2HHs6jvmJ',
].map(parseCid)
const [first, second] = CIDS.map((cid, i) => newPin(cid, { type: 'pin', name: `pin ${i}` })) as [Pin, Pin]

const openOn = (store: JournaledStore, logger: Logger = silentLogger) =>
  openOfflineState({ store, clock: systemClock, random: seededRandom(1), logger })

async function* listOf(...pins: readonly Pin[]) {
  yield* pins
}

test('pins that are added offline are listed, and are news for the next start', async () => {
  const store = createMemoryStore()
  {
    await using offline = await openOn(store)
    const expiring = { ...second, expireAt: 4_000_000_000n * 1_000_000_000n }
    assert.equal(await offline.add(listOf(first, second, { ...first, name: 'again' }, expiring)), 4)
    const names = (await Array.fromAsync(offline.state.list())).map(({ name }) => name)
    assert.deepEqual(names.toSorted(), ['again', 'pin 1'])
    assert.equal(offline.undecodable(), 0)
  }
  await using offline = await openOn(store)
  assert.deepEqual((await Array.fromAsync(offline.state.expired(4_000_000_001))).length, 1)
  const outbox = await openPinOutbox(store)
  const entries = {
    get: () => Promise.resolve(undefined),
    getMany: () => Promise.resolve([undefined, undefined]),
    chunks: async function* () {},
    snapshot: () => assert.fail(),
  }
  const { changes } = createPinState({ store, entries, outbox, logger: silentLogger })
  const changed = await pinsOf(changes.next(10))
  assert.deepEqual(changed.map(({ cid }) => `${cid}`).toSorted(), CIDS.map(String).toSorted())
})

test('what the source of pins throws, and a signal, end the adding', async () => {
  await using offline = await openOn(createMemoryStore())
  const broken = async function* () {
    yield first
    throw new Error('broken')
  }
  await assert.rejects(offline.add(broken()), { message: 'broken' })
  const signal = AbortSignal.abort(new Error('stop'))
  await assert.rejects(offline.add(listOf(first), { signal }), { message: 'stop' })
  assert.deepEqual(await Array.fromAsync(offline.state.list()), [])
})

test('a marked state is repaired once', async () => {
  const store = createMemoryStore()
  {
    await using offline = await openOn(store)
    await offline.add(listOf(first, second))
  }
  assert.equal(await repairMarkedState(store, silentLogger), undefined)
  await markCrdt(store, true)
  assert.deepEqual(await repairMarkedState(store, silentLogger), { nodes: 1, wanted: 0, rows: 0 })
  assert.equal((await summarizeCrdt(store)).dirty, false)
  assert.equal(await repairMarkedState(store, silentLogger), undefined)
})
