import type { AbortOptions, Clock } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { BlockHold, IpfsConnector } from './types.ts'

/** A hold that waits for a pin ends after so long, pinned or not. Milliseconds. */
export const KEEP_UNTIL_PINNED_MS = 10 * 60_000
/** Most roots are pinned within so long, and nobody has to ask for them; less than what an add yields to a collection (`ADD_YIELD_MS`). Milliseconds. */
export const PINNED_ANEW_MS = 2_000

/**
 * The same connector with holds: what `open` gives stands from the hold to its release, and then until the pin that it was kept for is there.
 *
 * @param open keeps whatever is put from now on until disposal.
 */
export function withHolds(
  ipfs: IpfsConnector,
  clock: Clock,
  open: (options: AbortOptions) => Promise<Disposable>,
): IpfsConnector {
  const closing = new AbortController()
  /** What waits for a pin, by the hash of its root. */
  const waiting = new Map<string, Set<() => void>>()
  const settled = (cid: CID) => {
    // Of the millions that are pinned hardly one has been added a moment ago.
    if (waiting.size === 0) return
    for (const end of waiting.get(keyOf(cid)) ?? []) end()
  }
  const wait = (root: CID): { readonly ended: AbortSignal; readonly end: () => void } => {
    const key = keyOf(root)
    const ended = new AbortController()
    const end = () => {
      ended.abort()
      const others = waiting.get(key)
      others?.delete(end)
      if (others?.size === 0) waiting.delete(key)
    }
    const others = waiting.get(key)
    if (others === undefined) waiting.set(key, new Set([end]))
    else others.add(end)
    return { ended: ended.signal, end }
  }
  const isPinned = async (root: CID, signal: AbortSignal) => {
    try {
      return (await ipfs.pinLsCid(root, 'recursive', { signal })) !== 'unpinned'
    } catch {
      // Whatever is wrong with the daemon: the hold stands, and has its limit.
      return false
    }
  }
  const { arePinned } = ipfs
  return {
    ...ipfs,
    async hold(options = {}): Promise<BlockHold> {
      const held = await open(options)
      let root: CID | undefined
      let pin: ReturnType<typeof wait> | undefined
      let released = false
      const keepOn = async (cid: CID, { ended, end }: ReturnType<typeof wait>) => {
        const either = AbortSignal.any([ended, closing.signal])
        try {
          await clock.sleep(PINNED_ANEW_MS, { signal: either })
          // It may have been pinned before anybody added it, and then nobody will pin it again.
          if (await isPinned(cid, either)) return
          await clock.sleep(KEEP_UNTIL_PINNED_MS - PINNED_ANEW_MS, { signal: either })
        } catch (error) {
          // Sleep rejects only when it is aborted: pinned, or at the end.
          if (!either.aborted) throw error
        } finally {
          end()
          held[Symbol.dispose]()
        }
      }
      return {
        keepFor(cid) {
          if (released) return
          pin?.end()
          root = cid
          pin = wait(cid)
        },
        release() {
          if (released) return
          released = true
          if (root === undefined || pin === undefined) held[Symbol.dispose]()
          else void keepOn(root, pin)
        },
      }
    },
    async pin(pin, options) {
      await ipfs.pin(pin, options)
      settled(pin.cid)
    },
    ...(arePinned && {
      async arePinned(pins, options) {
        const answers = await arePinned(pins, options)
        for (const [index, { cid }] of pins.entries()) if (answers[index] === true) settled(cid)
        return answers
      },
    }),
    async unpin(cid, options) {
      await ipfs.unpin(cid, options)
      settled(cid)
    },
    async [Symbol.asyncDispose]() {
      closing.abort(new DOMException('the IPFS connector is stopped', 'AbortError'))
      await ipfs[Symbol.asyncDispose]()
    },
  }
}

function keyOf(cid: CID): string {
  return cid.multihash.bytes.toHex()
}
