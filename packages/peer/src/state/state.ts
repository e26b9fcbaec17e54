import { cidOfBytes, decodePin, PinLines, type Pin } from '@ipfs-cluster/api'
import {
  Batched,
  compareBytes,
  equalBytes,
  errorMessage,
  prefixRange,
  toHex,
  type AbortOptions,
  type Logger,
  type Store,
  type StoreOp,
} from '@ipfs-cluster/base'
import type { Crdt, ReadOptions } from '@ipfs-cluster/crdt'
import type { CID } from 'multiformats/cid'
import { cidBytesOf, EXPIRY_PREFIX, expiryRow, secondsOf } from './layout.ts'
import { matchingEntries, type Entry, type ListingComponents } from './listing.ts'
import { countEntries, newestEntries, type CountOptions, type NewestOptions } from './newest.ts'
import { acknowledge, firstSequence, type PinOutbox } from './outbox.ts'
import { PinIndexes } from './pin-indexes.ts'
import { cidBytesOfPinKey, cidOfPinKey, cidTextOfPinKey, pinKey, usualV1Base32 } from './pin-key.ts'
import { expirySeconds } from './projection.ts'
import type {
  PendingOptions,
  PinChange,
  PinChangeBatch,
  PinChanges,
  PinListOptions,
  PinState,
} from './types.ts'

export interface PinStateComponents {
  /** The root store. */
  readonly store: Store
  /** The entries in which the pins are. */
  readonly entries: Pick<Crdt, 'get' | 'getMany' | 'chunks' | 'snapshot'>
  readonly outbox: PinOutbox
  readonly logger: Logger
}

export interface PinStateRoom {
  readonly state: PinState
  readonly changes: PinChanges
  /**
   * Makes the rows of pins that were written before there were indexes by name and by creation. Listings that need one wait for it, and begin it if
   * nobody has.
   */
  buildIndexes(options?: AbortOptions): Promise<void>
  /** Entries met since the start that could not be read as a pin. */
  undecodable(): number
}

const NO_PIN_KEY = 'the key is not that of a pin'

/** Lines are handed on at about so many bytes, and others have a turn of the event loop before the next: with more, too little is left for pins that come in. */
const LINES_BYTES = 28 * 1024

/** Pins read from the expiry index at a time. */
const EXPIRY_CHUNK = 256

/** Entries of the outbox looked at for one batch, as a multiple of the changes asked for: many may be of the same pin. */
const ENTRIES_PER_CHANGE = 8

/**
 * Entries that cannot be read as a pin are left out, counted and logged at debug level (they came from the network); the CID is that of the key,
 * whatever the value says (wire.md 4).
 */
export function createPinState(components: PinStateComponents): PinStateRoom {
  const { outbox } = components
  const indexes = new PinIndexes(components)
  const reader = new PinReader(components, indexes)
  return {
    state: {
      get: async cid => (await reader.getMany([cid]))[0],
      getMany: (cids, options) => reader.getMany(cids, options),
      list: options => new Batched(reader.batches(options)),
      lines: options => reader.lines(options),
      newest: options => new Batched(reader.newest(options)),
      count: options => reader.count(options),
      expired: (now, options) => reader.expired(now, options),
      nextExpiry: from => reader.nextExpiry(from),
      onExpiry: listener => outbox.onExpiry(listener),
    },
    changes: {
      next: (limit, options) => nextChanges(components, reader, limit, options),
      cids: (limit, options) => pendingCids(components, limit, options),
      backlog: () => ({
        count: outbox.pending,
        hasPressing: outbox.hasPressing,
        version: outbox.version,
      }),
      async waitForAny(options) {
        while (outbox.pending === 0) await outbox.waitBeyond(outbox.version, options)
      },
    },
    buildIndexes: options => indexes.build(options),
    undecodable: () => reader.undecodable,
  }
}

class PinReader {
  readonly #components: PinStateComponents
  readonly #listing: ListingComponents
  undecodable = 0

  constructor(components: PinStateComponents, indexes: PinIndexes) {
    this.#components = components
    this.#listing = { entries: components.entries, indexes }
  }

  async getMany(cids: readonly CID[], options?: ReadOptions): Promise<(Pin | undefined)[]> {
    const { entries } = this.#components
    const [first] = cids
    const values =
      cids.length === 1 && first !== undefined
        ? [await entries.get(pinKey(first))]
        : await entries.getMany(cids.map(pinKey), options)
    return cids.map((cid, i) => this.#decode(cid, values[i]))
  }

  /** As `getMany`, but tells an unreadable pin (`null`) from one that is not there. */
  async getChanges(cids: readonly CID[]): Promise<(Pin | undefined | null)[]> {
    const values = await this.#components.entries.getMany(cids.map(pinKey))
    return cids.map((cid, i) => {
      const value = values[i]
      return value === undefined ? undefined : (this.#decode(cid, value) ?? null)
    })
  }

  async *batches(options: PinListOptions = {}): AsyncGenerator<readonly Pin[]> {
    let left = options.limit ?? Infinity
    for await (const entries of this.#entries(options)) {
      const pins = this.#pinsOf(entries, left)
      left -= pins.length
      if (pins.length > 0) yield pins
      if (left <= 0) return
    }
  }

  async *newest(options: NewestOptions = {}): AsyncGenerator<readonly Pin[]> {
    for await (const entries of newestEntries(this.#listing, options)) yield this.#pinsOf(entries)
  }

  count(options: CountOptions): Promise<number> {
    return countEntries(this.#listing, options)
  }

  /** At most `most`. */
  #pinsOf(entries: readonly Entry[], most = Infinity): Pin[] {
    const pins: Pin[] = []
    for (const [key, value] of entries) {
      if (pins.length >= most) break
      const cid = cidOfPinKey(key)
      const pin = cid === undefined ? this.#unreadable(key, NO_PIN_KEY) : this.#decode(cid, value)
      if (pin !== undefined) pins.push(pin)
    }
    return pins
  }

  async *lines(options: PinListOptions = {}): AsyncGenerator<Uint8Array> {
    const lines = new PinLines()
    let left = options.limit ?? Infinity
    for await (const entries of this.#entries(options)) {
      for (const [key, value] of entries) {
        if (left <= 0) break
        if (this.#addLine(lines, key, value)) left--
        if (lines.length >= LINES_BYTES) yield lines.take()
      }
      if (lines.length > 0) yield lines.take()
      if (left <= 0) return
    }
  }

  #addLine(lines: PinLines, key: string, value: Uint8Array): boolean {
    try {
      const base32 = usualV1Base32(key)
      if (base32 !== undefined && lines.addV1(base32, value)) return true
      const cid = cidTextOfPinKey(key)
      if (cid === undefined) this.#unreadable(key, NO_PIN_KEY)
      else lines.add(cid, value)
      return cid !== undefined
    } catch (error) {
      this.#unreadable(key, errorMessage(error))
      return false
    }
  }

  #entries({ after, ...options }: PinListOptions): AsyncIterable<readonly Entry[]> {
    const cursor = options.cursor ?? (after === undefined ? null : { cid: after, name: '', created: null })
    return matchingEntries(this.#listing, { ...options, cursor })
  }

  async *expired(now: number, { signal }: AbortOptions = {}): AsyncGenerator<Pin> {
    const end = expiryRow(BigInt(Math.max(0, Math.ceil(now))))
    let chunk: CID[] = []
    for await (const row of this.#components.store.keys({ gte: EXPIRY_PREFIX, lt: end }, { signal })) {
      chunk.push(cidOfBytes(cidBytesOf(row)))
      if (chunk.length < EXPIRY_CHUNK) continue
      yield* await this.#expiredOf(chunk, now)
      chunk = []
    }
    yield* await this.#expiredOf(chunk, now)
  }

  async nextExpiry(from: number): Promise<number | undefined> {
    const { lt } = prefixRange(EXPIRY_PREFIX)
    const range = { gte: expiryRow(BigInt(Math.max(0, Math.ceil(from)))), limit: 1 }
    for await (const row of this.#components.store.keys(lt === undefined ? range : { ...range, lt })) {
      return Number(secondsOf(row))
    }
    return undefined
  }

  /** Reads again what the index says: an acknowledged change may not have reached the index yet. */
  async #expiredOf(cids: readonly CID[], now: number): Promise<Pin[]> {
    const pins = await this.getMany(cids)
    return pins.filter(pin => {
      const seconds = pin === undefined ? undefined : expirySeconds(pin.expireAt)
      return seconds !== undefined && Number(seconds) < now
    }) as Pin[]
  }

  #decode(cid: CID, value: Uint8Array | undefined): Pin | undefined {
    if (value === undefined) return undefined
    try {
      return decodePin(value, cid)
    } catch (error) {
      return this.#unreadable(pinKey(cid), errorMessage(error))
    }
  }

  #unreadable(key: string, reason: string): undefined {
    this.undecodable++
    this.#components.logger.debug({ key }, `an entry of the pinset is left out: ${reason}`)
  }
}

async function nextChanges(
  { outbox }: PinStateComponents,
  reader: PinReader,
  limit: number,
  options: AbortOptions = {},
): Promise<PinChangeBatch> {
  while (true) {
    options.signal?.throwIfAborted()
    // Taken before looking, so that what is written meanwhile ends the waiting.
    const { version } = outbox
    const { cids, ack, last } = await readOutbox(outbox, limit, options)
    if (ack.length > 0) {
      return {
        changes: most => changesOf(reader, cids, most),
        ack,
        acknowledged: () => outbox.acknowledged(last),
      }
    }
    await outbox.waitBeyond(version, options)
  }
}

/** The pins are read after the outbox: they are as new as the changes, or newer, and then another row follows. */
async function* changesOf(
  reader: PinReader,
  cids: readonly CID[],
  limit: number,
): AsyncGenerator<readonly PinChange[]> {
  for (let from = 0; from < cids.length; from += limit) {
    const some = cids.slice(from, from + limit)
    const pins = await reader.getChanges(some)
    const changes: PinChange[] = []
    for (const [i, cid] of some.entries()) {
      const pin = pins[i]
      if (pin !== null) changes.push({ cid, pin })
    }
    if (changes.length > 0) yield changes
  }
}

async function pendingCids(
  { entries, outbox }: PinStateComponents,
  limit: number,
  { after, signal }: PendingOptions = {},
): Promise<readonly Uint8Array[]> {
  const found: Uint8Array[] = []
  {
    // Before the outbox, which they come into when they are in a node.
    using snapshot = entries.snapshot()
    for (const { key } of snapshot.queued) {
      const cid = cidBytesOfPinKey(key)
      if (cid !== undefined) found.push(cid)
    }
  }
  if (outbox.pending > 0) {
    let looked = 0
    for await (const { cids } of outbox.rows({ signal })) {
      found.push(...cids)
      looked += cids.length
      if (looked >= limit) break
    }
  }
  const behind = after === undefined ? found : found.filter(cid => compareBytes(cid, after.bytes) > 0)
  behind.sort(compareBytes)
  return behind.filter((cid, i) => i === 0 || !equalBytes(cid, behind[i - 1] as Uint8Array))
}

async function readOutbox(
  outbox: PinOutbox,
  limit: number,
  options: AbortOptions,
): Promise<{ readonly cids: readonly CID[]; readonly ack: readonly StoreOp[]; readonly last: number }> {
  const cids = new Map<string, CID>()
  const ack: StoreOp[] = []
  /** Number of the last change taken. */
  let last = 0
  let looked = 0
  for await (const row of outbox.rows(options)) {
    let taken = 0
    for (; taken < row.cids.length; taken++) {
      const bytes = row.cids[taken] as Uint8Array
      const id = toHex(bytes)
      if (cids.has(id)) continue
      if (cids.size >= limit) break
      cids.set(id, cidOfBytes(bytes))
    }
    if (taken > 0) {
      ack.push(acknowledge(row, taken))
      last = firstSequence(row) + taken - 1
    }
    looked += taken
    if (taken < row.cids.length || looked >= limit * ENTRIES_PER_CHANGE) break
  }
  const sorted = [...cids.keys()].sort()
  return { cids: sorted.map(id => cids.get(id) as CID), ack, last }
}
