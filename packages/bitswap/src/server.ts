import { errorMessage, Limiter, type Logger, type Refusals, type TaskScope } from '@ipfs-cluster/base'
import { CID } from 'multiformats/cid'
import { keyOfCid, keyOfCidBytes, prefixOfCidBytes, type BlockKey } from './cid-bytes.ts'
import type { BitswapConfig } from './config.ts'
import { Ledger, type LedgerEntry } from './ledger.ts'
import type { BitswapMessage, WantlistEntry } from './message.ts'
import type { BitswapBlocks } from './types.ts'
import { IDENTITY } from './verify.ts'
import type { BitswapVersion } from './protocols.ts'

/** Batches of lookups at once, over all peers; a peer has one at a time and queues up anew for the next. */
const MAX_CONCURRENT_BATCHES = 8

/** Wants refused out of hand are not even denied once so many messages' worth of answers wait. */
const DENY_LIMIT_MESSAGES = 4

/** Room for a message's framing around a single block. Bytes. */
const MESSAGE_OVERHEAD_BYTES = 1024

interface Dependencies {
  readonly blocks: BitswapBlocks
  readonly config: BitswapConfig
  readonly logger: Logger
  readonly tasks: TaskScope
  readonly refusals?: Refusals
}

type Found = { readonly data: Uint8Array } | 'have' | 'missing'

/**
 * The side of others: answers their wants and remembers those it cannot answer yet.
 *
 * A peer's blocks are read only as fast as it takes them: at most about two messages' worth wait for each. Reading goes round the
 * peers, so that one with a thousand wants does not keep another with one waiting.
 */
export class Server {
  blocksSent = 0
  bytesSent = 0
  readonly #blocks: BitswapBlocks
  readonly #config: BitswapConfig
  readonly #logger: Logger
  readonly #tasks: TaskScope
  readonly #refusals: Refusals | undefined
  readonly #turns = new Limiter(MAX_CONCURRENT_BATCHES)
  readonly #ledgers = new Set<Ledger>()
  readonly #byBlock = new Map<BlockKey, Set<LedgerEntry>>()

  constructor({ blocks, config, logger, tasks, refusals }: Dependencies) {
    this.#refusals = refusals
    this.#blocks = blocks
    this.#config = config
    this.#logger = logger
    this.#tasks = tasks
  }

  /** Wants of others that are not answered. */
  get pending(): number {
    let count = 0
    for (const ledger of this.#ledgers) count += ledger.size
    return count
  }

  /** @param wake called when `take` has something. */
  open(wake: () => void): Ledger {
    const ledger = new Ledger(this.#config.maxWantsPerPeer, wake)
    this.#ledgers.add(ledger)
    return ledger
  }

  /** Forgets the peer's wants; `close`: for good. */
  reset(ledger: Ledger, { close = false } = {}): void {
    for (const entry of ledger.entries()) {
      this.#unindex(entry)
      entry.state = 'gone'
    }
    ledger.clear()
    if (!close) return
    ledger.closed = true
    this.#ledgers.delete(ledger)
  }

  receive(ledger: Ledger, message: BitswapMessage): void {
    if (message.full) this.reset(ledger)
    for (const want of message.wantlist) {
      if (want.cancel) this.#cancel(ledger, want)
      else if (this.#config.serve) this.#want(ledger, want)
      else this.#deny(ledger, want)
    }
    this.#prepare(ledger)
    if (ledger.hasAnswers) ledger.wake()
  }

  notify(blocks: readonly { readonly cid: CID; readonly data: Uint8Array }[]): void {
    const touched = new Set<Ledger>()
    for (const block of blocks) {
      for (const entry of this.#byBlock.get(keyOfCid(block.cid)) ?? []) {
        const { ledger } = entry
        if (entry.state === 'looking') entry.lookAgain = true
        if (entry.state !== 'remembered') continue
        touched.add(ledger)
        if (ledger.readyBytes < this.#config.maxOutgoingBytes) {
          const { data } = block
          this.#answer(entry, this.#asBlock(entry, data.length) ? { data } : 'have')
        } else ledger.enqueue(entry)
      }
    }
    for (const ledger of touched) {
      ledger.wake()
      this.#prepare(ledger)
    }
  }

  /** Answers of about `maxBytes`, in the form of the protocol's version. They count as sent. */
  take(ledger: Ledger, version: BitswapVersion, maxBytes: number): Partial<BitswapMessage> {
    const { blocks, presences } = ledger.take(maxBytes)
    for (const { entry, data } of blocks) {
      this.blocksSent++
      this.bytesSent += data.length
      this.#finish(entry)
    }
    this.#prepare(ledger)
    if (version === '1.0') return { bareBlocks: blocks.map(block => block.data) }
    const payload = blocks.map(({ entry, data }) => ({ prefix: prefixOfCidBytes(entry.cid), data }))
    return version === '1.2' ? { payload, presences } : { payload }
  }

  #want(ledger: Ledger, want: WantlistEntry): void {
    const key = keyOfCidBytes(want.cid)
    if (key === undefined) return
    const { added, evicted, refused } = ledger.add(want, key)
    if (evicted !== undefined || refused) this.#refusals?.count('too_many_wants')
    if (evicted !== undefined) this.#unindex(evicted)
    if (added !== undefined) this.#index(added)
    if (refused) this.#deny(ledger, want)
  }

  /** Says no, unless the peer asks faster than it reads. */
  #deny(ledger: Ledger, want: WantlistEntry): void {
    if (!want.sendDontHave || ledger.readyBytes > DENY_LIMIT_MESSAGES * this.#config.maxOutgoingBytes) return
    ledger.answerPresence(new Uint8Array(want.cid), false)
  }

  #cancel(ledger: Ledger, want: WantlistEntry): void {
    const entry = ledger.entry(want.cid)
    if (entry !== undefined) this.#finish(entry)
  }

  /** Reads on for this peer, unless enough waits to be sent. */
  #prepare(ledger: Ledger): void {
    if (ledger.preparing || ledger.queued === 0) return
    ledger.preparing = true
    this.#tasks.run('bitswap answers', async signal => {
      try {
        while (!ledger.closed && ledger.queued > 0 && ledger.readyBytes < this.#config.maxOutgoingBytes) {
          await this.#turns.run(() => this.#lookUp(ledger), { signal })
          if (ledger.hasAnswers) ledger.wake()
        }
      } finally {
        ledger.preparing = false
      }
    })
  }

  async #lookUp(ledger: Ledger): Promise<void> {
    const batch = ledger.next(this.#config.maxOutgoingBytes)
    const found = await Promise.all(batch.map(entry => this.#find(entry)))
    for (const [i, entry] of batch.entries()) {
      if (entry.state === 'looking') this.#answer(entry, found[i] ?? 'missing')
    }
  }

  async #find(entry: LedgerEntry): Promise<Found> {
    const cid = CID.decode(entry.cid)
    if (cid.multihash.code === IDENTITY) return { data: cid.multihash.digest }
    try {
      if (!entry.wantBlock) {
        const size = await this.#blocks.size(cid)
        if (size === undefined) return 'missing'
        if (!this.#asBlock(entry, size)) return 'have'
      }
      const data = await this.#blocks.get(cid)
      if (data === undefined) return 'missing'
      if (data.length + MESSAGE_OVERHEAD_BYTES <= this.#config.maxMessageBytes) return { data }
      this.#logger.warn({ cid: cid.toString(), bytes: data.length }, 'block too large for bitswap, not sent')
    } catch (error) {
      this.#logger.warn(
        { cid: cid.toString() },
        `block wanted by a peer could not be read: ${errorMessage(error)}`,
      )
    }
    return 'missing'
  }

  #asBlock(entry: LedgerEntry, size: number): boolean {
    return entry.wantBlock || size <= this.#config.haveInsteadOfBlockBytes
  }

  #answer(entry: LedgerEntry, found: Found): void {
    const { ledger } = entry
    if (found === 'missing') {
      if (entry.lookAgain) {
        ledger.enqueue(entry)
        return
      }
      if (entry.sendDontHave) ledger.answerPresence(entry.cid, false)
      ledger.remember(entry)
    } else if (found === 'have') {
      if (entry.wantBlock) {
        // It wanted only to know when the lookup began.
        ledger.enqueue(entry)
        return
      }
      ledger.answerPresence(entry.cid, true)
      this.#finish(entry)
    } else ledger.answerBlock(entry, found.data)
  }

  #finish(entry: LedgerEntry): void {
    this.#unindex(entry)
    entry.ledger.finish(entry)
  }

  #index(entry: LedgerEntry): void {
    const entries = this.#byBlock.get(entry.key)
    if (entries === undefined) this.#byBlock.set(entry.key, new Set([entry]))
    else entries.add(entry)
  }

  #unindex(entry: LedgerEntry): void {
    const entries = this.#byBlock.get(entry.key)
    if (entries === undefined) return
    entries.delete(entry)
    if (entries.size === 0) this.#byBlock.delete(entry.key)
  }
}
