import {
  anySignal,
  type Clock,
  errorMessage,
  type Logger,
  type Random,
  raceSignal,
  type Counter,
  type Refusals,
  type TaskScope,
} from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { AnnouncementBudget } from './announcement-budget.ts'
import { decodeBroadcast, encodeBroadcast } from './delta.ts'
import { InvalidNodeError } from './errors.ts'
import { sortedHeads, type Heads } from './heads.ts'
import { BROADCAST_TIMEOUT_MS, GREETING_DELAY_MS, MAX_BROADCAST_HEADS, MAX_SEEN_HEADS } from './limits.ts'
import { linkOf, type NodeId } from './node.ts'
import { Settler } from './settler.ts'
import type { CrdtBroadcast, CrdtConfig, CrdtMessage } from './types.ts'

export interface BroadcasterComponents {
  readonly broadcast: CrdtBroadcast
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly scope: TaskScope
  readonly heads: () => Heads
  readonly onHeads: (heads: readonly CID[], providers: readonly string[]) => void
  readonly refusals: Refusals
  /** Counts messages with the label `direction`, `sent` or `received`. */
  readonly messages: Counter
}

/** Announces our heads and takes the announcements of others (reference wire.md 3.6, 3.9). */
export class Broadcaster {
  readonly #components: BroadcasterComponents
  readonly #config: Pick<CrdtConfig, 'rebroadcastIntervalMs' | 'announcementGapMs'>
  /** Heads that another peer announced since the last rebroadcast. */
  readonly #seen = new Set<NodeId>()
  /** New heads of ours to announce. */
  #fresh: CID[] = []
  #sending: Promise<void> | undefined
  readonly #closing = new AbortController()
  #greeting = false
  #subscription: Disposable | undefined
  readonly #budget: AnnouncementBudget
  readonly #settler: Settler
  sent = 0
  received = 0
  refused = 0

  constructor(
    components: BroadcasterComponents,
    config: Pick<CrdtConfig, 'rebroadcastIntervalMs' | 'announcementGapMs'>,
  ) {
    this.#components = components
    this.#config = config
    this.#budget = new AnnouncementBudget(components.clock)
    this.#settler = new Settler({ ...components, announce: signal => this.#sendAll(signal) })
  }

  start(): void {
    this.#subscription = this.#components.broadcast.subscribe(
      message => this.#receive(message),
      () => this.#greet(),
    )
    this.#components.scope.run('crdt rebroadcast', signal => this.#rebroadcastForever(signal))
  }

  /** Takes no more announcements, and waits until the last of ours is sent or has failed. */
  async close(): Promise<void> {
    this.#subscription?.[Symbol.dispose]()
    this.#closing.abort()
    await this.#sending
  }

  /** Announces a new head; while a message is under way and shortly after it, new heads gather in the next. */
  announce(head: CID): void {
    this.#fresh.push(head)
    this.#sending ??= this.#sendFresh().finally(() => {
      this.#sending = undefined
    })
  }

  async #sendFresh(): Promise<void> {
    while (this.#fresh.length > 0) {
      const gathered = this.#fresh
      this.#fresh = []
      // Heads that have been joined since are below one that is announced too.
      const heads = this.#components.heads()
      const current = gathered.filter(cid => heads.has(linkOf(cid)?.id ?? ''))
      await this.#send(current.length > 0 ? current : gathered.slice(-1))
      this.#settler.message([])
      await this.#pause()
    }
  }

  /** Signing, sending and checking a message costs as much as a commit. */
  async #pause(): Promise<void> {
    const { signal } = this.#closing
    const { announcementGapMs = 0 } = this.#config
    if (announcementGapMs === 0) return
    try {
      await this.#components.clock.sleep(announcementGapMs, { signal })
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  /**
   * Announces all heads to peers that have just begun to listen, once for all that come within the delay: until the next rebroadcast
   * they would know nothing of what they missed while they were away.
   */
  #greet(): void {
    if (this.#greeting) return
    this.#greeting = true
    const { clock, random, scope } = this.#components
    scope.run('crdt greeting', async signal => {
      await clock.sleep(GREETING_DELAY_MS * (0.5 + random.float()), { signal })
      this.#greeting = false
      await this.#sendAll(signal)
    })
  }

  async #sendAll(signal: AbortSignal): Promise<void> {
    const all = sortedHeads(this.#components.heads()).map(({ cid }) => cid)
    if (all.length > 0) await this.#send(all.slice(0, MAX_BROADCAST_HEADS), signal)
  }

  async #rebroadcastForever(signal: AbortSignal): Promise<void> {
    const { clock, random, heads } = this.#components
    while (!signal.aborted) {
      await clock.sleep(this.#config.rebroadcastIntervalMs * (0.7 + 0.6 * random.float()), { signal })
      const unseen = sortedHeads(heads()).filter(({ id }) => !this.#seen.has(id))
      this.#seen.clear()
      if (unseen.length > 0) {
        await this.#send(
          unseen.slice(0, MAX_BROADCAST_HEADS).map(({ cid }) => cid),
          signal,
        )
      }
    }
  }

  async #send(heads: readonly CID[], signal?: AbortSignal): Promise<void> {
    const { broadcast, clock, logger } = this.#components
    const deadline = anySignal(signal, clock.timeout(BROADCAST_TIMEOUT_MS))
    try {
      const options = deadline === undefined ? {} : { signal: deadline }
      await raceSignal(broadcast.publish(encodeBroadcast(heads), options), deadline)
      this.sent++
      this.#components.messages.add({ direction: 'sent' })
    } catch (err) {
      if (signal?.aborted === true) return
      // What is lost here is announced again by the rebroadcast.
      logger.warn({ err, heads: heads.length }, `announcing heads failed: ${errorMessage(err)}`)
    }
  }

  #receive({ data, from, forwarder }: CrdtMessage): void {
    this.received++
    this.#components.messages.add({ direction: 'received' })
    const isOurs = forwarder === undefined
    if (!isOurs && !this.#budget.take(from, data.length)) {
      this.#refuse(from, data, 'announced_too_much', 'too much in a short time')
      return
    }
    let heads: readonly CID[]
    try {
      heads = decodeBroadcast(data)
    } catch (error) {
      if (!(error instanceof InvalidNodeError)) throw error
      this.#refuse(from, data, 'malformed_announcement', error.message)
      return
    }
    const known = this.#components.heads()
    if (!isOurs) this.#settler.message(heads)
    const news: CID[] = []
    for (const head of heads) {
      const id = linkOf(head)?.id
      if (id !== undefined && !isOurs && this.#seen.size < MAX_SEEN_HEADS) this.#seen.add(id)
      if (id === undefined || !known.has(id)) news.push(head)
    }
    if (news.length > 0) this.#components.onHeads(news, isOurs ? [from] : [from, forwarder])
  }

  #refuse(from: string, data: Uint8Array, reason: string, why: string): void {
    const { refusals, logger } = this.#components
    this.refused++
    refusals.count(reason)
    logger.debug({ from, bytes: data.length }, `announcement refused: ${why}`)
  }
}
