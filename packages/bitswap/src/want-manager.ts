import type { Clock, Refusals, TaskScope } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { keyOfCid, type BlockKey } from './cid-bytes.ts'
import type { BitswapConfig } from './config.ts'
import { BitswapError } from './errors.ts'
import type { PeerWants } from './peer-wants.ts'
import { SignalGroups } from './signal-groups.ts'
import type { WantOptions } from './types.ts'
import { IDENTITY, type Verifier } from './verify.ts'
import {
  countHit,
  countMiss,
  isActive,
  isAsked,
  isPreferred,
  judge,
  newWant,
  preferredPeers,
  type SessionState,
  type Waiter,
  type Want,
} from './want.ts'

/** How often unanswered wants are looked through, while there are any. Milliseconds. */
const SWEEP_INTERVAL_MS = 250

/** Keys of blocks that have come or been given up, to tell a duplicate from wrong data. */
const MAX_RECENT_KEYS = 16_384

/** A session asks around for its first wants, then for every nth, to learn of more peers. */
const PROBE_FIRST_WANTS = 8
const PROBE_EVERY_WANTS = 32

interface Dependencies {
  readonly clock: Clock
  readonly config: BitswapConfig
  readonly verifier: Verifier
  readonly tasks: TaskScope
  readonly refusals?: Refusals
}

/**
 * Our side: who is asked for which block, and what follows from each answer.
 *
 * A block is expected of one peer at a time: the least busy one that is believed to have it. Everybody else is asked with want-have,
 * at once when nobody is believed to have it and otherwise only when that belief proves wrong. When nobody has it the want stays;
 * peers remember it, new connections are asked, and after a pause everybody is asked again.
 */
export class WantManager {
  blocksReceived = 0
  bytesReceived = 0
  duplicateBlocks = 0
  invalidBlocks = 0
  readonly #clock: Clock
  readonly #config: BitswapConfig
  readonly #verifier: Verifier
  readonly #tasks: TaskScope
  readonly #refusals: Refusals | undefined
  readonly #wants = new Map<BlockKey, Want>()
  readonly #peers = new Map<string, PeerWants>()
  readonly #recent = new Set<BlockKey>()
  readonly #signals = new SignalGroups<Waiter>((waiter, reason) => this.#leave(waiter, reason))
  readonly #wantOf = new Map<Waiter, Want>()
  /** The best guess when nothing is known of a block. */
  #lastDeliverer: PeerWants | undefined
  #sweeping = false
  #closed: Error | undefined

  constructor({ clock, config, verifier, tasks, refusals }: Dependencies) {
    this.#refusals = refusals
    this.#clock = clock
    this.#config = config
    this.#verifier = verifier
    this.#tasks = tasks
  }

  get pending(): number {
    return this.#wants.size
  }

  async get(cid: CID, session: SessionState, { signal, providers }: WantOptions = {}): Promise<Uint8Array> {
    signal?.throwIfAborted()
    const closed = this.#closed ?? session.closed
    if (closed !== undefined) throw closed
    const hashCode = cid.multihash.code
    if (hashCode === IDENTITY) return cid.multihash.digest
    if (!this.#verifier.supports(hashCode)) throw unknownHash(cid)
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>()
    this.#join(cid, { session, signal, resolve, reject }, providers ?? [])
    return await promise
  }

  /** Rejects every call of the session; wants that nobody else has are cancelled. */
  closeSession(session: SessionState, reason: Error): void {
    session.closed ??= reason
    for (const want of session.wants) {
      for (const waiter of want.waiters) {
        if (waiter.session === session) this.#leave(waiter, reason)
      }
    }
  }

  addProviders(session: SessionState, peers: readonly string[]): void {
    for (const id of peers) session.hints.add(id)
    for (const want of session.wants) this.#hinted(want, peers)
  }

  /** A peer is there, or may be asked again. */
  addPeer(peer: PeerWants): void {
    this.#peers.set(peer.id, peer)
    peer.usable = true
    for (const want of this.#wants.values()) {
      if (want.assigned !== undefined) continue
      if (isPreferred(want, peer.id) || !isActive(want)) {
        this.#propose(want, peer)
        this.#assign(want)
      } else if (want.asks.size < this.#config.maxBroadcastPeers) peer.askHave(want)
    }
  }

  removePeer(peer: PeerWants): void {
    this.#peers.delete(peer.id)
    if (this.#lastDeliverer === peer) this.#lastDeliverer = undefined
    for (const want of peer.wants) {
      peer.forget(want, { cancel: false })
      this.#unassign(want, peer)
    }
  }

  /** The peer cannot be talked to; it is left alone for `pauseMs`. Its wants go to others. */
  suspendPeer(peer: PeerWants, pauseMs: number): void {
    peer.usable = false
    peer.usableAt = this.#clock.monotonic() + pauseMs
    for (const want of peer.wants) {
      peer.forget(want, { cancel: false })
      this.#unassign(want, peer)
    }
  }

  onHave(peer: PeerWants, key: BlockKey): void {
    const want = this.#wants.get(key)
    const ask = want?.asks.get(peer)
    if (want === undefined || ask === undefined || ask.state === 'block' || ask.state === 'refused') return
    peer.mark(want, 'candidate').sent = false
    for (const session of want.sessions) countHit(session, peer.id)
    if (want.assigned === undefined) this.#assign(want)
  }

  onDontHave(peer: PeerWants, key: BlockKey): void {
    const want = this.#wants.get(key)
    const ask = want?.asks.get(peer)
    if (want === undefined || ask === undefined || !isAsked(ask)) return
    this.#unanswered(want, peer, 'lacks')
  }

  /** @param key computed from `data`. `undefined`: no such block can exist. */
  onBlock(peer: PeerWants, key: BlockKey | undefined, data: Uint8Array): void {
    const want = key === undefined ? undefined : this.#wants.get(key)
    if (want === undefined) {
      if (key !== undefined && this.#recent.has(key)) this.duplicateBlocks++
      else this.#blame(peer)
      return
    }
    this.blocksReceived++
    this.bytesReceived += data.length
    this.#lastDeliverer = peer
    this.#complete(want, detach(data), peer)
  }

  /** The block has come by another way. */
  onLocalBlock(key: BlockKey, block: { readonly data: Uint8Array }): void {
    const want = this.#wants.get(key)
    // Most blocks are wanted by nobody, and their data may have to be joined.
    if (want !== undefined) this.#complete(want, block.data, undefined)
  }

  close(reason: Error): void {
    this.#closed = reason
    for (const waiter of this.#wantOf.keys()) this.#leave(waiter, reason)
  }

  #join(cid: CID, waiter: Waiter, providers: readonly string[]): void {
    const key = keyOfCid(cid)
    const { session } = waiter
    let want = this.#wants.get(key)
    const isNew = want === undefined
    want ??= newWant(key, cid)
    want.waiters.add(waiter)
    want.sessions.add(session)
    for (const id of providers) want.hints.add(id)
    session.wants.add(want)
    session.issued++
    this.#wantOf.set(waiter, want)
    this.#signals.add(waiter.signal, waiter)
    if (isNew) {
      this.#wants.set(key, want)
      this.#start(want, session)
    } else this.#hinted(want, [...providers, ...session.hints])
  }

  #start(want: Want, session: SessionState): void {
    for (const id of preferredPeers(want)) {
      const peer = this.#peers.get(id)
      if (peer?.usable) this.#propose(want, peer)
    }
    const known = want.asks.size > 0
    if (!known && this.#lastDeliverer?.usable) this.#propose(want, this.#lastDeliverer)
    this.#assign(want)
    const probe =
      session.probing && (session.issued <= PROBE_FIRST_WANTS || session.issued % PROBE_EVERY_WANTS === 0)
    if (!known || probe) this.#broadcast(want)
    this.#startSweep()
  }

  /** These peers are believed to have it, from now on. */
  #hinted(want: Want, ids: Iterable<string>): void {
    for (const id of ids) {
      const peer = this.#peers.get(id)
      if (peer?.usable) this.#propose(want, peer)
    }
    if (want.assigned === undefined) this.#assign(want)
  }

  #propose(want: Want, peer: PeerWants): void {
    const state = want.asks.get(peer)?.state
    if (state !== 'block' && state !== 'refused') peer.mark(want, 'candidate')
  }

  /** Asks the least busy candidate for the block, or the first to get free. False when there is no candidate. */
  #assign(want: Want): boolean {
    if (want.assigned !== undefined) return true
    const candidates = [...want.asks].filter(([, ask]) => ask.state === 'candidate').map(([peer]) => peer)
    let best: PeerWants | undefined
    for (const peer of candidates) {
      if (peer.hasSlot && (best === undefined || peer.load < best.load)) best = peer
    }
    if (best !== undefined) best.askBlock(want)
    else for (const peer of candidates) peer.askBlockLater(want)
    return candidates.length > 0
  }

  /**
   * Asks everybody not asked before whether they have it, within the fan-out; `again`: those that said no, too.
   * A lone peer is asked for the block at once.
   */
  #broadcast(want: Want, { again = false } = {}): void {
    const peers = [...this.#peers.values()]
    const start = peers.length > 0 ? (want.rounds * this.#config.maxBroadcastPeers) % peers.length : 0
    const targets = [...peers.slice(start), ...peers.slice(0, start)].filter(peer => {
      const ask = want.asks.get(peer)
      return peer.usable && (ask === undefined || (again && ask.state === 'lacks'))
    })
    const [only] = targets
    if (targets.length === 1 && only !== undefined && !isActive(want)) {
      this.#propose(want, only)
      this.#assign(want)
      return
    }
    for (const peer of targets.slice(0, this.#config.maxBroadcastPeers)) peer.askHave(want)
  }

  #unanswered(want: Want, peer: PeerWants, state: 'lacks' | 'refused'): void {
    peer.mark(want, state)
    for (const session of want.sessions) countMiss(session, peer.id)
    this.#unassign(want, peer)
  }

  #unassign(want: Want, peer: PeerWants): void {
    if (want.assigned !== peer) return
    want.assigned = undefined
    if (!this.#assign(want)) this.#broadcast(want)
  }

  #complete(want: Want, data: Uint8Array, deliverer: PeerWants | undefined): void {
    this.#drop(want, deliverer)
    if (deliverer !== undefined) {
      for (const session of want.sessions) countHit(session, deliverer.id)
    }
    for (const waiter of want.waiters) {
      this.#release(waiter)
      waiter.resolve(data)
    }
  }

  #leave(waiter: Waiter, reason: unknown): void {
    const want = this.#wantOf.get(waiter)
    if (want === undefined) return
    this.#release(waiter)
    want.waiters.delete(waiter)
    if (want.waiters.size === 0) this.#drop(want, undefined)
    waiter.reject(reason)
  }

  #release(waiter: Waiter): void {
    this.#wantOf.delete(waiter)
    this.#signals.delete(waiter.signal, waiter)
  }

  #drop(want: Want, deliverer: PeerWants | undefined): void {
    this.#wants.delete(want.key)
    this.#recent.add(want.key)
    if (this.#recent.size > MAX_RECENT_KEYS) {
      for (const oldest of this.#recent) {
        this.#recent.delete(oldest)
        break
      }
    }
    for (const session of want.sessions) session.wants.delete(want)
    // A peer that has sent the block has forgotten the want.
    for (const peer of want.asks.keys()) peer.forget(want, { cancel: peer !== deliverer })
  }

  /**
   * The peer has sent a block that we never wanted. It must belong to one of its asks, as the bytes it has for that are wrong; with a
   * single one it is clear which, otherwise it shows by what stays unanswered.
   */
  #blame(peer: PeerWants): void {
    this.invalidBlocks++
    this.#refusals?.count('not_asked_for')
    const asked = peer.asked()
    const [only] = asked
    if (asked.length === 1 && only !== undefined) this.#unanswered(only, peer, 'refused')
    else {
      for (const want of asked) {
        const ask = want.asks.get(peer)
        if (ask !== undefined) ask.suspect = true
      }
    }
  }

  #startSweep(): void {
    if (this.#sweeping) return
    this.#sweeping = true
    this.#tasks.run('bitswap want sweep', async signal => {
      try {
        while (this.#wants.size > 0) {
          await this.#clock.sleep(SWEEP_INTERVAL_MS, { signal })
          this.#sweep(this.#clock.monotonic())
        }
      } finally {
        this.#sweeping = false
      }
    })
  }

  #sweep(now: number): void {
    for (const peer of this.#peers.values()) {
      if (!peer.usable && now >= peer.usableAt) this.addPeer(peer)
    }
    for (const want of this.#wants.values()) {
      let stalled = false
      for (const [peer, ask] of want.asks) {
        if (!isAsked(ask)) continue
        const verdict = judge(ask, now, peer.lastHeardAt, this.#config)
        if (verdict === 'stalled') stalled ||= want.assigned === peer
        else if (verdict !== 'fine') this.#unanswered(want, peer, verdict)
      }
      if (stalled) {
        want.assigned = undefined
        if (!this.#assign(want)) this.#broadcast(want)
      }
      if (!isActive(want)) this.#nextRound(want, now)
    }
  }

  /** Nobody has it: after a pause, ask everybody again. */
  #nextRound(want: Want, now: number): void {
    const { retryMinMs, retryMaxMs } = this.#config
    if (want.nextRoundAt === 0) {
      want.nextRoundAt = now + Math.min(retryMinMs * 2 ** want.rounds, retryMaxMs)
      return
    }
    if (now < want.nextRoundAt) return
    want.rounds++
    for (const id of preferredPeers(want)) {
      const peer = this.#peers.get(id)
      if (peer?.usable) this.#propose(want, peer)
    }
    this.#assign(want)
    this.#broadcast(want, { again: true })
    want.nextRoundAt = 0
  }
}

/** A small block must not keep the large message alive in which it came. */
function detach(data: Uint8Array): Uint8Array {
  return data.byteLength * 2 < data.buffer.byteLength ? new Uint8Array(data) : data
}

function unknownHash(cid: CID): BitswapError {
  const hashCode = cid.multihash.code
  return new BitswapError(
    `no hasher for the multihash function 0x${hashCode.toString(16)} of ${cid}; pass one to createBitswap`,
    { code: 'BITSWAP_UNKNOWN_HASH', cid: cid.toString(), hashCode },
  )
}
