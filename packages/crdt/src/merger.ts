import { type Clock, errorMessage, type Logger, type TaskScope } from '@ipfs-cluster/base'
import type { Applied, Ledger } from './ledger.ts'
import { MAX_MERGE_BYTES, MAX_MERGE_NODES, MAX_UNMERGED_BYTES, MIN_RETRY_MS } from './limits.ts'
import type { CrdtNode } from './node.ts'

export interface MergerComponents {
  readonly ledger: Pick<Ledger, 'exclusive' | 'apply'>
  readonly clock: Clock
  readonly logger: Logger
  readonly scope: TaskScope
  readonly onMerged: (nodes: readonly CrdtNode[], applied: Applied) => void
}

/** Merges fetched nodes in the order in which they come, as many in one batch as came while the last one was written. */
export class Merger {
  readonly #components: MergerComponents
  #waiting: CrdtNode[] = []
  #bytes = 0
  #running = false
  #room = Promise.withResolvers<void>()

  constructor(components: MergerComponents) {
    this.#components = components
  }

  /** Resolves when there is room for more: at once, unless merging falls behind. */
  async add(node: CrdtNode): Promise<void> {
    this.#waiting.push(node)
    this.#bytes += node.data.length
    if (!this.#running) {
      this.#running = true
      this.#components.scope.run('crdt merge', signal => this.#run(signal))
    }
    while (this.#bytes > MAX_UNMERGED_BYTES && !this.#components.scope.signal.aborted) {
      await this.#room.promise
    }
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { ledger, clock, logger, onMerged } = this.#components
    const onAbort = () => this.#room.resolve()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      while (this.#waiting.length > 0 && !signal.aborted) {
        const batch = this.#nextBatch()
        try {
          const applied = await ledger.exclusive(() => ledger.apply(batch), { signal })
          this.#done(batch)
          onMerged(batch, applied)
        } catch (err) {
          signal.throwIfAborted()
          logger.error(
            { err, nodes: batch.length },
            `merging failed and will be repeated: ${errorMessage(err)}`,
          )
          await clock.sleep(MIN_RETRY_MS, { signal })
        }
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
      this.#running = false
    }
  }

  #nextBatch(): CrdtNode[] {
    let bytes = 0
    let count = 0
    for (const { data } of this.#waiting) {
      if (count > 0 && (bytes + data.length > MAX_MERGE_BYTES || count >= MAX_MERGE_NODES)) break
      bytes += data.length
      count++
    }
    return this.#waiting.slice(0, count)
  }

  #done(batch: readonly CrdtNode[]): void {
    this.#waiting.splice(0, batch.length)
    for (const { data } of batch) this.#bytes -= data.length
    this.#room.resolve()
    this.#room = Promise.withResolvers()
  }
}
