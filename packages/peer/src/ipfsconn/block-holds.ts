import type { AbortOptions, Clock } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { BlockHold, IpfsConnector, IsWanted } from './types.ts'

/** A hold that waits for a pin ends after so long, pinned or not. Milliseconds. */
export const KEEP_UNTIL_PINNED_MS = 10 * 60_000
/**
 * Most roots are pinned within so long, and nobody has to ask for them; from then on it is asked less and less often. Less than what an add yields to a
 * collection (`ADD_YIELD_MS`). Milliseconds.
 */
export const FIRST_ASKED_MS = 2_000

interface Root {
  readonly cid: CID
  readonly isWanted: IsWanted
}

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
  /** It may have been pinned before anybody added it, and then nobody will pin it again; or unpinned so soon that nobody began to pin it. */
  const isNeeded = async ({ cid, isWanted }: Root, signal: AbortSignal) => {
    try {
      return (
        (await ipfs.pinLsCid(cid, 'recursive', { signal })) === 'unpinned' && (await isWanted({ signal }))
      )
    } catch {
      // Whatever is wrong with the daemon, or the peer that added it: the hold stands, and has its limit.
      return true
    }
  }
  const { arePinned } = ipfs
  return {
    ...ipfs,
    async hold(options = {}): Promise<BlockHold> {
      const held = await open(options)
      let root: Root | undefined
      let pin: ReturnType<typeof wait> | undefined
      let released = false
      const keepOn = async (kept: Root, { ended, end }: ReturnType<typeof wait>) => {
        const either = AbortSignal.any([ended, closing.signal])
        const until = clock.monotonic() + KEEP_UNTIL_PINNED_MS
        try {
          for (let rest = FIRST_ASKED_MS; ; rest *= 2) {
            await clock.sleep(Math.min(rest, until - clock.monotonic()), { signal: either })
            if (clock.monotonic() >= until || !(await isNeeded(kept, either))) return
          }
        } catch (error) {
          // Sleep rejects only when it is aborted: pinned, or at the end.
          if (!either.aborted) throw error
        } finally {
          end()
          held[Symbol.dispose]()
        }
      }
      return {
        keepFor(cid, isWanted) {
          if (released) return
          pin?.end()
          root = { cid, isWanted }
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
