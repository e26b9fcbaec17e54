import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { newPin } from '@ipfs-cluster/api'
import { createManualClock, waitFor } from '@ipfs-cluster/testkit'
import { CID } from 'multiformats/cid'
import { KEEP_UNTIL_PINNED_MS, FIRST_ASKED_MS, withHolds } from './block-holds.ts'
import type { BlockHold, IpfsConnector } from './types.ts'

const ROOT = CID.parse('bafkreifvjsscrn3xmx4zs53cvhebb64ijnnxj7tk5skoiyad6cpkwltbdm')

const wanted = async () => true

function setUp() {
  const clock = createManualClock()
  const held = { now: 0 }
  const pinned = new Set<string>()
  /** What the daemon was asked about. */
  const asked: string[] = []
  const daemon: Partial<IpfsConnector> = {
    pin: async ({ cid }) => void pinned.add(String(cid)),
    unpin: async cid => void pinned.delete(String(cid)),
    arePinned: async pins => pins.map(({ cid }) => pinned.has(String(cid))),
    async pinLsCid(cid) {
      asked.push(String(cid))
      return pinned.has(String(cid)) ? 'recursive' : 'unpinned'
    },
    [Symbol.asyncDispose]: async () => undefined,
  }
  const ipfs = withHolds(daemon as IpfsConnector, clock, async () => {
    held.now++
    return { [Symbol.dispose]: () => void held.now-- }
  })
  const hold = async () => (await ipfs.hold?.()) as BlockHold
  return { clock, held, pinned, asked, ipfs, hold }
}

describe('a hold', () => {
  it('stands until its release', async () => {
    const { held, hold } = setUp()
    const [first, second] = [await hold(), await hold()]
    assert.equal(held.now, 2)
    first.release()
    first.release()
    assert.equal(held.now, 1)
    second.release()
    assert.equal(held.now, 0)
  })

  it('stands until what it was kept for is pinned, or nobody wants it any more', async () => {
    for (const settle of ['pin', 'unpin', 'arePinned'] as const) {
      const { asked, held, hold, ipfs, pinned } = setUp()
      const [kept, also] = [await hold(), await hold()]
      for (const each of [kept, also]) {
        each.keepFor(ROOT, wanted)
        each.release()
      }
      await new Promise(setImmediate)
      assert.equal(held.now, 2)
      if (settle === 'pin') await ipfs.pin(newPin(ROOT))
      if (settle === 'unpin') await ipfs.unpin(ROOT)
      if (settle === 'arePinned') {
        pinned.add(String(ROOT))
        await ipfs.arePinned?.([newPin(ROOT)])
      }
      await waitFor(() => held.now === 0, { what: `released by ${settle}` })
      assert.deepEqual(asked, [])
    }
  })

  it('ends when that has been pinned in the meantime, and soon when it was before', async () => {
    const { asked, clock, held, hold, ipfs, pinned } = setUp()
    const early = await hold()
    early.keepFor(ROOT, wanted)
    await ipfs.pin(newPin(ROOT))
    pinned.clear()
    assert.equal(held.now, 1)
    early.release()
    await waitFor(() => held.now === 0)
    pinned.add(String(ROOT))
    const again = await hold()
    again.keepFor(ROOT, wanted)
    again.release()
    await clock.advance(FIRST_ASKED_MS - 1)
    assert.deepEqual([asked, held.now], [[], 1])
    await clock.advance(1)
    await waitFor(() => held.now === 0)
    assert.deepEqual(asked, [String(ROOT)])
  })

  it('ends when nobody wants that any more, without anything being told to the daemon', async () => {
    const { clock, held, hold } = setUp()
    const answers = [true, new Error('the peer that added it is away'), true, false]
    const kept = await hold()
    kept.keepFor(ROOT, async () => {
      const answer = answers.shift()
      if (answer instanceof Error) throw answer
      return answer === true
    })
    kept.release()
    for (const [rest, left] of [
      [1, 3],
      [2, 2],
      [4, 1],
    ] as const) {
      await clock.advance(rest * FIRST_ASKED_MS)
      await waitFor(() => answers.length === left)
      assert.equal(held.now, 1)
    }
    await clock.advance(8 * FIRST_ASKED_MS)
    await waitFor(() => held.now === 0)
  })

  it('does not stand for ever, nor beyond the connector', async () => {
    const { clock, held, hold, ipfs } = setUp()
    const kept = await hold()
    kept.keepFor(ROOT, wanted)
    kept.release()
    await new Promise(setImmediate)
    await clock.advance(KEEP_UNTIL_PINNED_MS - 1)
    assert.equal(held.now, 1)
    await clock.advance(1)
    await waitFor(() => held.now === 0)
    const last = await hold()
    last.keepFor(ROOT, wanted)
    last.release()
    await ipfs[Symbol.asyncDispose]()
    await waitFor(() => held.now === 0)
  })
})
