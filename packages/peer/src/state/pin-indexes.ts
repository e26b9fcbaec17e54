import {
  equalBytes,
  prefixRange,
  raceSignal,
  type AbortOptions,
  type Logger,
  type Store,
  type StoreOp,
} from '@ipfs-cluster/base'
import type { Crdt } from '@ipfs-cluster/crdt'
import { FORMER_TIME_PREFIX, INDEXED_ROW, INDEXES_VERSION } from './layout.ts'
import { indexPin } from './projection.ts'

export interface PinIndexesComponents {
  /** The root store. */
  readonly store: Store
  readonly entries: Pick<Crdt, 'chunks'>
  readonly logger: Logger
}

/** Operations of one batch while the indexes are built. */
const BATCH_OPS = 4_000

/**
 * Whether the indexes by name, by creation and by type have every pin: those that were written before there were such indexes get their rows once.
 *
 * A pin that leaves while its rows are built may leave one behind. Whoever reads the index looks whether the pin still has that row.
 */
export class PinIndexes {
  readonly #components: PinIndexesComponents
  #complete = false
  #building: Promise<void> | undefined

  constructor(components: PinIndexesComponents) {
    this.#components = components
  }

  /** Builds what is missing. Costs one look at one row when it has been done before. */
  async build(options: AbortOptions = {}): Promise<void> {
    await (this.#building ??= this.#build(options).catch((error: unknown) => {
      this.#building = undefined
      throw error
    }))
  }

  /** Resolves when the indexes have every pin; begins to build them if nobody has. */
  async complete({ signal }: AbortOptions = {}): Promise<void> {
    if (!this.#complete) await raceSignal(this.build(), signal)
  }

  async #build({ signal }: AbortOptions): Promise<void> {
    const { store, entries, logger } = this.#components
    const version = await store.get(INDEXED_ROW)
    if (version === undefined || !equalBytes(version, INDEXES_VERSION)) {
      await this.#removeFormer(signal)
      let pins = 0
      let ops: StoreOp[] = []
      for await (const chunk of entries.chunks({}, { signal })) {
        for (const [key, value] of chunk) indexPin(key, value, ops)
        pins += chunk.length
        if (ops.length < BATCH_OPS) continue
        // Synced each time: a power cut must not keep the mark and lose some of what it speaks of.
        await store.batch(ops, { sync: true })
        ops = []
      }
      ops.push({ type: 'put', key: INDEXED_ROW, value: INDEXES_VERSION })
      await store.batch(ops, { sync: true })
      if (pins > 0) logger.info({ pins }, 'the pinset is indexed by name, time and type')
    }
    this.#complete = true
  }

  async #removeFormer(signal: AbortSignal | undefined): Promise<void> {
    const { store } = this.#components
    let ops: StoreOp[] = []
    for await (const key of store.keys(prefixRange(FORMER_TIME_PREFIX), { signal })) {
      ops.push({ type: 'del', key })
      if (ops.length < BATCH_OPS) continue
      await store.batch(ops)
      ops = []
    }
    await store.batch(ops)
  }
}
