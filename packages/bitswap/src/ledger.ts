import { latin1, type BlockKey } from './cid-bytes.ts'
import type { BlockPresence, WantlistEntry } from './message.ts'

/**
 * - `queued`: to be looked up; `looking`: being looked up;
 * - `remembered`: not here yet;
 * - `ready`: the block waits to be sent; `gone`: answered or cancelled.
 */
type EntryState = 'queued' | 'looking' | 'remembered' | 'ready' | 'gone'

/** A want of a peer, by exact CID: the answer carries the version and codec it asked with. */
export interface LedgerEntry {
  readonly ledger: Ledger
  readonly id: string
  readonly cid: Uint8Array
  readonly key: BlockKey
  wantBlock: boolean
  sendDontHave: boolean
  state: EntryState
  /** The block may have come while it was being looked up. */
  lookAgain: boolean
}

interface ReadyBlock {
  readonly entry: LedgerEntry
  readonly data: Uint8Array
}

/** What a block or presence costs in a message beside its content. Bytes. */
const ITEM_OVERHEAD_BYTES = 16

/** Weight of the newest block in the running average of block sizes. */
const AVERAGE_WEIGHT = 1 / 8

/** Plan this many lookups at once when blocks are small. */
const MAX_LOOKUPS = 64

/** The wants of one peer and the answers made ready for it. */
export class Ledger {
  /** Looking up is under way. */
  preparing = false
  closed = false
  /** Tells the peer's link that there is something to send. */
  readonly wake: () => void
  readonly #maxWants: number
  readonly #entries = new Map<string, LedgerEntry>()
  readonly #queue = new Set<LedgerEntry>()
  /** Oldest first. */
  readonly #remembered = new Set<LedgerEntry>()
  #ready: ReadyBlock[] = []
  #presences: BlockPresence[] = []
  #readyBytes = 0
  #averageBlockBytes = 16 * 1024

  constructor(maxWants: number, wake: () => void) {
    this.#maxWants = maxWants
    this.wake = wake
  }

  get size(): number {
    return this.#entries.size
  }

  get queued(): number {
    return this.#queue.size
  }

  /** Bytes of answers waiting to be sent. */
  get readyBytes(): number {
    return this.#readyBytes
  }

  get hasAnswers(): boolean {
    return this.#ready.length > 0 || this.#presences.length > 0
  }

  entries(): Iterable<LedgerEntry> {
    return this.#entries.values()
  }

  /**
   * Takes a want. Returns the new entry, if it is one, and the one that had to go for it; `refused` when there is no room.
   */
  add(want: WantlistEntry, key: BlockKey): { added?: LedgerEntry; evicted?: LedgerEntry; refused?: true } {
    const id = latin1(want.cid)
    const known = this.#entries.get(id)
    if (known !== undefined) {
      known.wantBlock ||= !want.wantHave
      known.sendDontHave = want.sendDontHave
      if (known.state === 'remembered') this.enqueue(known)
      return {}
    }
    let evicted: LedgerEntry | undefined
    if (this.#entries.size >= this.#maxWants) {
      evicted = this.#remembered.values().next().value
      if (evicted === undefined) return { refused: true }
      this.finish(evicted)
    }
    const added: LedgerEntry = {
      ledger: this,
      id,
      cid: new Uint8Array(want.cid),
      key,
      wantBlock: !want.wantHave,
      sendDontHave: want.sendDontHave,
      state: 'queued',
      lookAgain: false,
    }
    this.#entries.set(id, added)
    this.#queue.add(added)
    return evicted === undefined ? { added } : { added, evicted }
  }

  entry(cid: Uint8Array): LedgerEntry | undefined {
    return this.#entries.get(latin1(cid))
  }

  enqueue(entry: LedgerEntry): void {
    this.#remembered.delete(entry)
    entry.state = 'queued'
    this.#queue.add(entry)
  }

  /** The next wants to look up: about `bytes` of blocks, judged by those sent before. */
  next(bytes: number): LedgerEntry[] {
    const count = Math.max(1, Math.min(MAX_LOOKUPS, Math.floor(bytes / this.#averageBlockBytes)))
    const batch: LedgerEntry[] = []
    for (const entry of this.#queue) {
      if (batch.length >= count) break
      this.#queue.delete(entry)
      entry.state = 'looking'
      entry.lookAgain = false
      batch.push(entry)
    }
    return batch
  }

  answerBlock(entry: LedgerEntry, data: Uint8Array): void {
    this.#remembered.delete(entry)
    this.#queue.delete(entry)
    entry.state = 'ready'
    this.#ready.push({ entry, data })
    this.#readyBytes += data.length + entry.cid.length + ITEM_OVERHEAD_BYTES
    this.#averageBlockBytes += (data.length - this.#averageBlockBytes) * AVERAGE_WEIGHT
  }

  answerPresence(cid: Uint8Array, have: boolean): void {
    this.#presences.push({ cid, have })
    this.#readyBytes += cid.length + ITEM_OVERHEAD_BYTES
  }

  /** Keeps the want until the block comes. */
  remember(entry: LedgerEntry): void {
    entry.state = 'remembered'
    this.#remembered.add(entry)
  }

  /** The want is answered or given up. */
  finish(entry: LedgerEntry): void {
    entry.state = 'gone'
    this.#entries.delete(entry.id)
    this.#queue.delete(entry)
    this.#remembered.delete(entry)
  }

  /** Takes answers of about `maxBytes` (one block at least) to be sent now; their wants are not finished yet. */
  take(maxBytes: number): {
    readonly blocks: readonly ReadyBlock[]
    readonly presences: readonly BlockPresence[]
  } {
    let bytes = 0
    let count = 0
    while (count < this.#presences.length && bytes < maxBytes) {
      bytes += (this.#presences[count]?.cid.length ?? 0) + ITEM_OVERHEAD_BYTES
      count++
    }
    const presences = this.#presences.splice(0, count)
    count = 0
    while (count < this.#ready.length && bytes < maxBytes) {
      const block = this.#ready[count]
      bytes += block === undefined ? 0 : block.data.length + block.entry.cid.length + ITEM_OVERHEAD_BYTES
      count++
    }
    const blocks = this.#ready.splice(0, count)
    this.#readyBytes -= bytes
    return { blocks: blocks.filter(({ entry }) => entry.state === 'ready'), presences }
  }

  clear(): void {
    this.#entries.clear()
    this.#queue.clear()
    this.#remembered.clear()
    this.#ready = []
    this.#presences = []
    this.#readyBytes = 0
  }
}
