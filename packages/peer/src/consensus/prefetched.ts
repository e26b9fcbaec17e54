import type { NodeLink } from '@ipfs-cluster/crdt'

export type NodeId = NodeLink['id']

interface Entry<Source> {
  readonly data: Uint8Array
  readonly source: Source
}

/** Verified nodes that came unasked, until somebody asks for them: at most `maxBytes`, the oldest make room. */
export class PrefetchedNodes<Source> {
  readonly #maxBytes: number
  readonly #onDropped: (source: Source) => void
  readonly #entries = new Map<NodeId, Entry<Source>>()
  #bytes = 0

  /** @param onDropped told of each that nobody asked for. */
  constructor(maxBytes: number, onDropped: (source: Source) => void) {
    this.#maxBytes = maxBytes
    this.#onDropped = onDropped
  }

  get size(): number {
    return this.#entries.size
  }

  get bytes(): number {
    return this.#bytes
  }

  has(id: NodeId): boolean {
    return this.#entries.has(id)
  }

  add(id: NodeId, data: Uint8Array, source: Source): void {
    this.take(id)
    this.#entries.set(id, { data, source })
    this.#bytes += data.length
    for (const [oldest, entry] of this.#entries) {
      if (this.#bytes <= this.#maxBytes) break
      this.#drop(oldest, entry)
    }
  }

  /** The node, which is gone from here then: it is asked for once. */
  take(id: NodeId): Entry<Source> | undefined {
    const entry = this.#entries.get(id)
    if (entry === undefined) return undefined
    this.#entries.delete(id)
    this.#bytes -= entry.data.length
    return entry
  }

  clear(): void {
    for (const [id, entry] of this.#entries) this.#drop(id, entry)
  }

  #drop(id: NodeId, { data, source }: Entry<Source>): void {
    this.#entries.delete(id)
    this.#bytes -= data.length
    this.#onDropped(source)
  }
}
