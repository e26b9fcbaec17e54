import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { newPin } from '@ipfs-cluster/api'
import { createManualClock, waitFor } from '@ipfs-cluster/testkit'
import { CID } from 'multiformats/cid'
import { KEEP_UNTIL_PINNED_MS, PINNED_ANEW_MS, withHolds } from './block-holds.ts'
import type { BlockHold, IpfsConnector } from './types.ts'

const ROOT = CID.parse('bafkreifvjsscrn3xmx4zs53cvhebb64ijnnxj7tk5skoiyad6cpkwltbdm')

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
        each.keepFor(ROOT)
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
    early.keepFor(ROOT)
    await ipfs.pin(newPin(ROOT))
    pinned.clear()
    assert.equal(held.now, 1)
    early.release()
    await waitFor(() => held.now === 0)
    pinned.add(String(ROOT))
    const again = await hold()
    again.keepFor(ROOT)
    again.release()
    await clock.advance(PINNED_ANEW_MS - 1)
    assert.deepEqual([asked, held.now], [[], 1])
    await clock.advance(1)
    await waitFor(() => held.now === 0)
    assert.deepEqual(asked, [String(ROOT)])
  })

  it('does not stand for ever, nor beyond the connector', async () => {
    const { clock, held, hold, ipfs } = setUp()
    const kept = await hold()
    kept.keepFor(ROOT)
    kept.release()
    await new Promise(setImmediate)
    await clock.advance(KEEP_UNTIL_PINNED_MS - 1)
    assert.equal(held.now, 1)
    await clock.advance(1)
    await waitFor(() => held.now === 0)
    const last = await hold()
    last.keepFor(ROOT)
    last.release()
    await ipfs[Symbol.asyncDispose]()
    await waitFor(() => held.now === 0)
  })
})
