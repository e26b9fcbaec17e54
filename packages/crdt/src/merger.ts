import { type Clock, errorMessage, LastingFailure, type Logger, type TaskScope } from '@ipfs-cluster/base'
import type { Applied, Ledger } from './ledger.ts'
import {
  MAX_MERGE_BYTES,
  MAX_MERGE_ENTRIES,
  MAX_MERGE_NODES,
  MAX_UNMERGED_BYTES,
  MIN_RETRY_MS,
} from './limits.ts'
import type { CrdtNode } from './node.ts'

export interface MergerComponents {
  readonly ledger: Pick<Ledger, 'exclusive' | 'apply'>
  readonly clock: Clock
  readonly logger: Logger
  readonly scope: TaskScope
  readonly onMerged: (nodes: readonly CrdtNode[], applied: Applied) => void
}

/** About what a link, or an element or tombstone, takes in memory beside its bytes. */
const ENTRY_BYTES = 250

/** Merges fetched nodes in the order in which they come, as many in one batch as came while the last one was written. */
export class Merger {
  readonly #components: MergerComponents
  readonly #trouble: LastingFailure
  #waiting: CrdtNode[] = []
  #bytes = 0
  #running = false
  #room = Promise.withResolvers<void>()
  /** Nodes of the next batch; after a failure one, so that a node that cannot be merged keeps no others from it. */
  #maxNodes = MAX_MERGE_NODES

  constructor(components: MergerComponents) {
    this.#components = components
    this.#trouble = new LastingFailure(components.logger, components.clock)
    components.scope.signal.addEventListener('abort', () => this.#room.resolve())
  }

  /** So much waits that nothing should be added. */
  get isFull(): boolean {
    return this.#bytes > MAX_UNMERGED_BYTES
  }

  /** Resolves when there is room for more, or everything ends. */
  async room(): Promise<void> {
    while (this.isFull && !this.#components.scope.signal.aborted) await this.#room.promise
  }

  add(node: CrdtNode): void {
    this.#waiting.push(node)
    this.#bytes += weightOf(node)
    if (this.#running) return
    this.#running = true
    this.#components.scope.run('crdt merge', signal => this.#run(signal))
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { ledger, clock, onMerged } = this.#components
    try {
      while (this.#waiting.length > 0 && !signal.aborted) {
        const batch = this.#nextBatch()
        try {
          const applied = await ledger.exclusive(() => ledger.apply(batch), { signal })
          this.#maxNodes = Math.min(MAX_MERGE_NODES, this.#maxNodes * 2)
          this.#trouble.succeeded('merging works again')
          this.#done(batch)
          onMerged(batch, applied)
        } catch (err) {
          signal.throwIfAborted()
          this.#trouble.failed(
            { err, nodes: batch.length },
            `merging failed and will be repeated: ${errorMessage(err)}`,
          )
          this.#maxNodes = 1
          if (batch.length === 1) this.#waiting.push(...this.#waiting.splice(0, 1))
          await clock.sleep(MIN_RETRY_MS, { signal })
        }
      }
    } finally {
      this.#running = false
    }
  }

  #nextBatch(): CrdtNode[] {
    let bytes = 0
    let entries = 0
    let count = 0
    for (const node of this.#waiting) {
      bytes += node.data.length
      entries += entriesOf(node)
      const isTooMuch = bytes > MAX_MERGE_BYTES || entries > MAX_MERGE_ENTRIES || count >= this.#maxNodes
      if (count > 0 && isTooMuch) break
      count++
    }
    return this.#waiting.slice(0, count)
  }

  #done(batch: readonly CrdtNode[]): void {
    this.#waiting.splice(0, batch.length)
    for (const node of batch) this.#bytes -= weightOf(node)
    this.#room.resolve()
    this.#room = Promise.withResolvers()
  }
}

function entriesOf({ links, delta }: CrdtNode): number {
  return links.length + delta.elements.length + delta.tombstones.length
}

function weightOf(node: CrdtNode): number {
  return node.data.length + ENTRY_BYTES * entriesOf(node)
}
