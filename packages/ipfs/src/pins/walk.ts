import type { AbortOptions } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { FingerprintSet } from '../blocks/fingerprint-set.ts'

export interface WalkOptions extends AbortOptions {
  /** Links to follow from the root; 0 is the root alone. @default without end */
  readonly maxDepth?: number | undefined
  /** Blocks visited at the same time. */
  readonly concurrency: number
  /** Blocks not to visit, nor what is below them; every block visited is added. Not used with `maxDepth`. */
  readonly seen?: FingerprintSet
}

/**
 * Returns the links to follow. `first` is false when a block is visited again because it turned up nearer to the root; `last` is true
 * where no link will be followed.
 */
export type Visit = (
  cid: CID,
  turn: { readonly first: boolean; readonly last: boolean },
  signal: AbortSignal,
) => Promise<readonly CID[]>

interface Step {
  readonly cid: CID
  readonly depth: number
}

/**
 * Visits every block of a DAG once, depth first in the order of links as far as concurrency lets it. Memory: the links still to follow
 * of the branches under way, and a fingerprint for each block. Ends the visits under way and rejects when one fails.
 */
export async function walkDag(root: CID, visit: Visit, options: WalkOptions): Promise<void> {
  const { concurrency, maxDepth = Number.POSITIVE_INFINITY, signal } = options
  const controller = new AbortController()
  const stop = signal === undefined ? controller.signal : AbortSignal.any([signal, controller.signal])
  const order = maxDepth === Number.POSITIVE_INFINITY ? onceEach(options.seen) : nearestFirst()
  const stack: Step[] = [{ cid: root, depth: 0 }]
  const running = new Set<Promise<void>>()
  let wake: (() => void) | undefined

  const start = (step: Step, first: boolean): void => {
    const last = step.depth >= maxDepth
    const task = visit(step.cid, { first, last }, stop)
      .then(links => {
        if (last) return
        for (let i = links.length - 1; i >= 0; i--)
          stack.push({ cid: links[i] as CID, depth: step.depth + 1 })
      })
      // The first failure becomes the reason why the others end.
      .catch((error: unknown) => controller.abort(error))
      .finally(() => {
        running.delete(task)
        wake?.()
      })
    running.add(task)
  }

  while (running.size > 0 || (stack.length > 0 && !stop.aborted)) {
    while (stack.length > 0 && running.size < concurrency && !stop.aborted) {
      const step = stack.pop() as Step
      const turn = order(step)
      if (turn !== 'known') start(step, turn === 'first')
    }
    if (running.size === 0) continue
    await new Promise<void>(resolve => {
      wake = resolve
    })
  }
  stop.throwIfAborted()
}

type Order = (step: Step) => 'first' | 'again' | 'known'

function onceEach(seen = new FingerprintSet()): Order {
  return ({ cid }) => (seen.add(cid.multihash.bytes) ? 'first' : 'known')
}

/** With a limit of depth, a block found again nearer to the root leads further than it did before. */
function nearestFirst(): Order {
  const depths = new Map<string, number>()
  return ({ cid, depth }) => {
    const key = cid.toString()
    const before = depths.get(key)
    if (before !== undefined && before <= depth) return 'known'
    depths.set(key, depth)
    return before === undefined ? 'first' : 'again'
  }
}
