/** How large a pin under way is: Kubo does not tell, but the links of its root block do, and that is there when fetching has begun. */
import type { Pin } from '@ipfs-cluster/api'
import { anySignal, errorMessage, type Logger } from '@ipfs-cluster/base'
import { statedSize } from '@ipfs-cluster/ipfs/links'
import { code as DAG_PB } from '@ipld/dag-pb'
import type { KuboClient } from './kubo-client.ts'

export interface RootSizeComponents {
  readonly client: Pick<KuboClient, 'bytes'>
  readonly logger: Logger
}

export interface RootSizeOptions {
  readonly signal: AbortSignal | undefined
  readonly timeoutMs: number
  /** Called at most once, with bytes. */
  readonly onSize: (size: number) => void
}

/** One for all: making an error with its stack costs more than much of the rest. */
const PIN_DONE = new DOMException('the pin is done', 'AbortError')

/** Progress reports before the root is asked for: what is pinned by then costs no request more. */
const REPORTS = 2

/** Asks for the size of a recursive pin that takes longer than a moment. Dispose of it when the pin is done. */
export function createRootSize(
  { client, logger }: RootSizeComponents,
  pin: Pin,
  { signal, timeoutMs, onSize }: RootSizeOptions,
): Disposable & { progressed(): void } {
  const ended = new AbortController()
  const isTold = pin.maxDepth < 0 && pin.cid.code === DAG_PB
  let reports = 0
  const ask = async () => {
    try {
      const options = { signal: anySignal(ended.signal, signal), timeoutMs }
      const size = statedSize(pin.cid, await client.bytes(`block/get?arg=${pin.cid}&offline=true`, options))
      if (size !== undefined && !ended.signal.aborted) onSize(size)
    } catch (error) {
      // Only the percentage is lost.
      logger.debug({ cid: pin.cid, error: errorMessage(error) }, 'the size of a pin is not known')
    }
  }
  return {
    progressed() {
      if (isTold && ++reports === REPORTS) void ask()
    },
    [Symbol.dispose]: () => ended.abort(PIN_DONE),
  }
}
