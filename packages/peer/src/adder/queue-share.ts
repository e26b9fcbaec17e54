/** Bytes of blocks that wait for destinations, of all adds together; shared out evenly. */
const QUEUED_BYTES = 96 * 1024 * 1024
/** Of one add at most: more does not make it faster. Bytes. */
const SHARE_MAX_BYTES = 9 * 1024 * 1024
/** Of one add at least, however many there are: a few blocks, so that none comes to a stop. Bytes. */
const SHARE_MIN_BYTES = 768 * 1024

/** What each add may have waiting. An add counts from `enter` to its disposal. */
export interface QueueShare {
  enter(): Disposable
  /** Bytes for one add at this moment. */
  bytes(): number
}

export function createQueueShare(): QueueShare {
  let adds = 0
  return {
    enter() {
      adds++
      let left = false
      return {
        [Symbol.dispose]() {
          if (!left) adds--
          left = true
        },
      }
    },
    bytes: () => Math.min(SHARE_MAX_BYTES, Math.max(SHARE_MIN_BYTES, QUEUED_BYTES / Math.max(1, adds))),
  }
}
