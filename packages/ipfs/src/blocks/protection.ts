import { FingerprintSet } from './fingerprint-set.ts'

/** What garbage collection must keep although no pin needs it (yet). Multihashes are the keys throughout. */
export interface Protection {
  /** Everything touched from now on is protected until disposal. */
  hold(): Disposable
  /** Keeps all present protection, and what comes to it, until disposal: for the duration of a collection. */
  freeze(): Disposable
  /** To be called before looking whether a block exists, whenever its presence will be relied on. */
  touch(multihash: Uint8Array): void
  protects(multihash: Uint8Array): boolean
}

interface Epoch {
  readonly touched: FingerprintSet
  holds: number
}

/**
 * A hold opens an epoch; touches go to the newest. An epoch is forgotten when neither it nor an older one is held, so
 * memory is bounded by what was touched since the oldest standing hold began.
 */
export function createProtection(): Protection {
  const epochs: Epoch[] = []
  const retain = (epoch: Epoch): Disposable => {
    let held = true
    epoch.holds++
    return {
      [Symbol.dispose]() {
        if (!held) return
        held = false
        epoch.holds--
        while (epochs[0]?.holds === 0) epochs.shift()
      },
    }
  }
  const open = (): Epoch => {
    const epoch = { touched: new FingerprintSet(), holds: 0 }
    epochs.push(epoch)
    return epoch
  }
  return {
    hold() {
      const newest = epochs.at(-1)
      return retain(newest?.touched.size === 0 ? newest : open())
    },
    freeze: () => retain(epochs[0] ?? open()),
    touch: multihash => void epochs.at(-1)?.touched.add(multihash),
    protects: multihash => epochs.some(epoch => epoch.touched.has(multihash)),
  }
}
