import { encodePin, type Pin } from '@ipfs-cluster/api'
import type { AbortOptions, Clock, JournaledStore, Logger, Random, Store } from '@ipfs-cluster/base'
import {
  createOfflineCrdt,
  isCrdtDirty,
  repairCrdt,
  type Crdt,
  type CrdtOp,
  type CrdtRepair,
} from '@ipfs-cluster/crdt'
import { createPinState, openPinOutbox, pinKey, type PinState } from '../state/index.ts'

/** Pins written in one commit: some nodes of a MiB each, and what fits in memory. */
const IMPORT_OPS = 20_000
const IMPORT_BYTES = 8 * 1024 * 1024

export interface OfflineStateComponents {
  /** The root store, open in no other process. */
  readonly store: JournaledStore
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** The pinset of a store on which no peer runs. */
export interface OfflineState extends AsyncDisposable {
  readonly state: PinState
  /** Entries met so far that could not be read as a pin, and were left out. */
  undecodable(): number
  /**
   * Adds `pins`, of equal CIDs the last one counts. Resolves with their number when all of them are durable; when it fails, some may be.
   *
   * @throws CrdtError `CRDT_OP_TOO_LARGE`, ApiError when a peer id or an address in a pin is none, and whatever `pins` throws.
   */
  add(pins: AsyncIterable<Pin>, options?: AbortOptions): Promise<number>
}

/**
 * Opens the pinset without network (Go: `OfflineState` of `consensus/crdt`). What is written gets its index and outbox rows as always, so the next
 * start of a peer tracks it.
 */
export async function openOfflineState(components: OfflineStateComponents): Promise<OfflineState> {
  const { store, logger } = components
  const outbox = await openPinOutbox(store)
  const crdt = await createOfflineCrdt({ ...components, projection: changes => outbox.project(changes) })
  const { state, buildIndexes, undecodable } = createPinState({ store, entries: crdt, outbox, logger })
  return {
    state,
    undecodable,
    async add(pins, options) {
      // Of a new store this only says that there is nothing to do, so that the peer does not read all of it again.
      await buildIndexes(options)
      return await addAll(crdt, pins, options)
    },
    [Symbol.asyncDispose]: () => crdt[Symbol.asyncDispose](),
  }
}

async function addAll(crdt: Crdt, pins: AsyncIterable<Pin>, { signal }: AbortOptions = {}): Promise<number> {
  let count = 0
  let ops: CrdtOp[] = []
  let bytes = 0
  const commit = async () => {
    await crdt.commit(ops, { signal })
    ops = []
    bytes = 0
  }
  for await (const pin of pins) {
    signal?.throwIfAborted()
    const value = encodePin(pin)
    if (ops.length >= IMPORT_OPS || bytes + value.length > IMPORT_BYTES) await commit()
    ops.push({ type: 'put', key: pinKey(pin.cid), value })
    bytes += value.length
    count++
  }
  await commit()
  return count
}

/**
 * Repairs the CRDT of the store if it is marked as dirty (`state crdt mark-dirty`). Call before anything else works on the store.
 *
 * @returns what was repaired; `undefined` when it is not marked.
 * @throws StoreError, CrdtError `CRDT_STORE_CORRUPT`
 */
export async function repairMarkedState(
  store: Store,
  logger: Logger,
  options: AbortOptions = {},
): Promise<CrdtRepair | undefined> {
  if (!(await isCrdtDirty(store))) return undefined
  logger.info('the CRDT is marked as dirty: every node of its DAG is looked at')
  const outbox = await openPinOutbox(store)
  const repair = await repairCrdt(store, changes => outbox.project(changes), options)
  const fields = { nodes: repair.nodes, wanted: repair.wanted, rows: repair.rows }
  logger.info(fields, 'the CRDT is repaired; it is clean again')
  return repair
}
