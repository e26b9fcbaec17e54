import { raceSignal, type AbortOptions, type Clock } from '@ipfs-cluster/base'
import { IpfsError } from './errors.ts'

/** How long a collection waits for a moment without adds. Milliseconds. */
export const COLLECTION_WAIT_MS = 120_000
/** How long an add waits for the end of a collection: less than after which a sender that has no other destination calls it stalled. Milliseconds. */
export const ADD_WAIT_MS = 90_000

/** A new add lets a collection that waits go first, if those under way end so soon: else short adds, one after the other, would keep it out. Milliseconds. */
export const ADD_YIELD_MS = 10_000

/** Keeps adds and collections apart, for a daemon whose collector knows nothing of adds. Any number of either at once. */
export interface CollectionGate {
  /** Resolves when no collection runs; none starts until disposal. @throws IpfsError `IPFS_COLLECTING` after `ADD_WAIT_MS`. */
  enter(options?: AbortOptions): Promise<Disposable>
  /** As `enter`, for an add that is inside already: it yields to nobody. */
  stay(options?: AbortOptions): Promise<Disposable>
  /** Resolves when nobody adds; nobody starts to until disposal. @throws IpfsError `IPFS_HELD` after `COLLECTION_WAIT_MS`. */
  collect(options?: AbortOptions): Promise<Disposable>
}

interface Limit {
  readonly ms: number
  /** What to say then; without it the wait just ends, and the gate counts as open. */
  readonly error?: () => IpfsError
}

export function createCollectionGate(clock: Clock): CollectionGate {
  const inside = { adds: 0, collections: 0 }
  let waitingCollections = 0
  let changed = Promise.withResolvers<void>()
  const tell = () => {
    changed.resolve()
    changed = Promise.withResolvers()
  }
  const count = (kind: keyof typeof inside): Disposable => {
    inside[kind]++
    let left = false
    return {
      [Symbol.dispose]() {
        if (left) return
        left = true
        inside[kind]--
        tell()
      },
    }
  }
  /** Takes as soon as it is open, in the same turn: nobody comes in between. */
  const whenOpen = async <T>(
    isOpen: () => boolean,
    take: () => T,
    limit: Limit,
    { signal }: AbortOptions,
  ): Promise<T> => {
    signal?.throwIfAborted()
    if (isOpen()) return take()
    const ended = new AbortController()
    let isLate = false
    const timer = clock.sleep(limit.ms, { signal: ended.signal }).then(
      () => (isLate = true),
      () => undefined,
    )
    try {
      while (true) {
        await raceSignal(Promise.race([changed.promise, timer]), signal)
        if (isOpen()) return take()
        if (!isLate) continue
        if (limit.error !== undefined) throw limit.error()
        return take()
      }
    } finally {
      ended.abort(new DOMException('the wait is over', 'AbortError'))
    }
  }
  const stay: CollectionGate['stay'] = (options = {}) =>
    whenOpen(
      () => inside.collections === 0,
      () => count('adds'),
      { ms: ADD_WAIT_MS, error: collecting },
      options,
    )
  return {
    stay,
    async enter(options = {}) {
      await whenOpen(
        () => waitingCollections === 0,
        () => undefined,
        { ms: ADD_YIELD_MS },
        options,
      )
      return await stay(options)
    },
    async collect(options = {}) {
      waitingCollections++
      try {
        return await whenOpen(
          () => inside.adds === 0,
          () => count('collections'),
          { ms: COLLECTION_WAIT_MS, error: () => held(inside.adds) },
          options,
        )
      } finally {
        waitingCollections--
        tell()
      }
    },
  }
}

function collecting(): IpfsError {
  return new IpfsError(
    `IPFS is collecting garbage, which would take the blocks of an add: it has not ended within ${ADD_WAIT_MS / 1000} s; add again later`,
    { code: 'IPFS_COLLECTING' },
  )
}

function held(adds: number): IpfsError {
  return new IpfsError(
    `garbage collection is held back: ${adds} ${adds === 1 ? 'add puts' : 'adds put'} blocks here, which it would take before they are pinned, and ` +
      `they have not ended within ${COLLECTION_WAIT_MS / 1000} s; collect again later`,
    { code: 'IPFS_HELD', adds },
  )
}
