import type { BlockKey } from './cid-bytes.ts'
import type { WantlistEntry } from './message.ts'
import { isAsked, type Ask, type AskState, type Want } from './want.ts'

/** All our wants carry the same priority: order is the order of asking. */
const PRIORITY = 1

/** Upper bound of one wantlist entry beside its CID. Bytes. */
const ENTRY_OVERHEAD_BYTES = 24

type Kind = 'have' | 'block' | 'cancel'

interface Outgoing {
  readonly cid: Uint8Array
  readonly kind: Kind
  readonly ask: Ask | undefined
}

export interface PeerWantsOptions {
  readonly maxWantsInFlight: number
  /** There is something to `take`. */
  readonly wake: () => void
  /** `clock.monotonic` */
  readonly now: () => number
}

/**
 * Our wants at one peer: which have been asked, which wait for a free slot, and what must be told to the peer next.
 * Several changes of mind about a want between two messages end in one entry or in none.
 */
export class PeerWants {
  readonly id: string
  /** Not asked while false: it does not speak bitswap or cannot be reached. */
  usable = true
  /** `clock.monotonic()` from which an unusable peer may be tried again. */
  usableAt = 0
  /** `clock.monotonic()` of the last bytes of bitswap from this peer. */
  lastHeardAt = 0
  /** Every want that has an ask of this peer. */
  readonly wants = new Set<Want>()
  readonly #options: PeerWantsOptions
  readonly #backlog = new Map<Want, 'have' | 'block'>()
  readonly #outbox = new Map<BlockKey, Outgoing>()
  #slots = 0

  constructor(id: string, options: PeerWantsOptions) {
    this.id = id
    this.#options = options
  }

  /** Unanswered wants. */
  get load(): number {
    return this.#slots
  }

  get hasSlot(): boolean {
    return this.#slots < this.#options.maxWantsInFlight
  }

  get hasWork(): boolean {
    return this.#outbox.size > 0 || (this.#backlog.size > 0 && this.hasSlot)
  }

  /** Wants of which we wait for the block. */
  asked(): Want[] {
    return [...this.wants].filter(want => want.asks.get(this)?.state === 'block')
  }

  /** Notes a belief or an answer; frees the slot that the want occupied. */
  mark(want: Want, state: Exclude<AskState, 'have' | 'block'>): Ask {
    const ask = this.#askOf(want)
    if (isAsked(ask)) this.#release()
    ask.state = state
    if (state !== 'waiting') this.#backlog.delete(want)
    return ask
  }

  /** Asks for the block now. The caller has seen to it that there is a slot and that the want is not assigned elsewhere. */
  askBlock(want: Want): void {
    want.assigned = this
    this.#send(want, 'block')
  }

  /** Asks whether the peer has it, as soon as there is a slot. */
  askHave(want: Want): void {
    if (this.hasSlot) {
      this.#send(want, 'have')
      return
    }
    this.mark(want, 'waiting')
    this.#backlog.set(want, 'have')
  }

  /** Takes the block of this candidate when a slot gets free, unless another peer is asked by then. */
  askBlockLater(want: Want): void {
    this.#backlog.set(want, 'block')
  }

  /** Drops the want; tells the peer if it would answer otherwise. */
  forget(want: Want, { cancel }: { readonly cancel: boolean }): void {
    const ask = want.asks.get(this)
    if (ask === undefined) return
    if (isAsked(ask)) this.#release()
    this.#backlog.delete(want)
    this.#outbox.delete(want.key)
    want.asks.delete(this)
    this.wants.delete(want)
    if (cancel && ask.sent) {
      this.#outbox.set(want.key, { cid: want.cid.bytes, kind: 'cancel', ask: undefined })
      this.#options.wake()
    }
  }

  /** Says everything unanswered again: messages may have been lost with a stream. */
  resend(): void {
    for (const want of this.wants) {
      const ask = want.asks.get(this)
      if (ask?.sent && isAsked(ask)) this.#queue(want, ask)
    }
  }

  /** What to tell the peer, at most about `maxBytes`. Peers before 1.2 know neither want-have nor DONT_HAVE. */
  take(maxBytes: number, presences: boolean): WantlistEntry[] {
    this.#pump()
    const entries: WantlistEntry[] = []
    let bytes = 0
    for (const [key, { cid, kind, ask }] of this.#outbox) {
      if (bytes >= maxBytes) break
      bytes += cid.length + ENTRY_OVERHEAD_BYTES
      this.#outbox.delete(key)
      if (ask !== undefined) ask.sent = true
      const cancel = kind === 'cancel'
      entries.push({
        cid,
        cancel,
        priority: cancel ? 0 : PRIORITY,
        wantHave: presences && kind === 'have',
        sendDontHave: presences && !cancel,
      })
    }
    return entries
  }

  #pump(): void {
    for (const [want, kind] of this.#backlog) {
      if (!this.hasSlot) return
      this.#backlog.delete(want)
      if (want.assigned === undefined) {
        if (kind === 'block') this.askBlock(want)
        else this.#send(want, 'have')
      } else if (kind === 'have') {
        // Somebody delivers it already; a later round may ask.
        this.forget(want, { cancel: true })
      }
    }
  }

  #send(want: Want, kind: 'have' | 'block'): void {
    const ask = this.#askOf(want)
    if (!isAsked(ask)) this.#slots++
    this.#backlog.delete(want)
    ask.state = kind
    ask.suspect = false
    ask.askedAt = this.#options.now()
    this.#queue(want, ask)
  }

  #queue(want: Want, ask: Ask): void {
    this.#outbox.set(want.key, {
      cid: want.cid.bytes,
      kind: ask.state === 'block' ? 'block' : 'have',
      ask,
    })
    this.#options.wake()
  }

  #askOf(want: Want): Ask {
    let ask = want.asks.get(this)
    if (ask === undefined) {
      ask = { state: 'waiting', sent: false, askedAt: 0, suspect: false }
      want.asks.set(this, ask)
      this.wants.add(want)
    }
    return ask
  }

  #release(): void {
    this.#slots--
    if (this.#backlog.size > 0) this.#options.wake()
  }
}
