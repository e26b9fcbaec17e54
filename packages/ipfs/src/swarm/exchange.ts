import {
  anySignal,
  errorMessage,
  Limiter,
  type AbortOptions,
  type Clock,
  type Logger,
  type TaskScope,
} from '@ipfs-cluster/base'
import type { Bitswap, BitswapSession } from '@ipfs-cluster/bitswap'
import type { CID } from 'multiformats/cid'
import type { Exchange, ExchangeOptions, ExchangeSession } from '../reader.ts'
import type { Provider } from './delegated-routing.ts'

/** A session that got nothing for this long looks for providers; doubles after each fruitless search, up to the longest. */
const SEARCH_AFTER_MS = 1_000
const MAX_SEARCH_PAUSE_MS = 60_000
/** Of one search. */
const SEARCH_TIMEOUT_MS = 30_000
/** Providers connected to by one search. */
const PROVIDERS_PER_SEARCH = 10
/** Over all sessions. */
const SEARCHES_AT_ONCE = 8
const DIALS_AT_ONCE = 16

export interface ExchangeComponents {
  readonly bitswap: Pick<Bitswap, 'session'>
  readonly clock: Clock
  readonly logger: Logger
  readonly tasks: TaskScope
  /** Connects, within a deadline; the id of the peer. */
  readonly dial: (provider: Provider, options: AbortOptions) => Promise<string>
  /** Who may have a block. Absent when no routing is configured. */
  readonly findProviders?: (cid: CID, options: AbortOptions) => AsyncIterable<Provider>
}

/** Bitswap, and the search for peers to ask when those connected do not have a block. */
export function createExchange(components: ExchangeComponents): Exchange {
  const searches = new Limiter(SEARCHES_AT_ONCE)
  const dials = new Limiter(DIALS_AT_ONCE)
  return { session: options => new SearchingSession(components, searches, dials, options) }
}

class SearchingSession implements ExchangeSession {
  readonly #components: ExchangeComponents
  readonly #searches: Limiter
  readonly #dials: Limiter
  readonly #bitswap: BitswapSession
  readonly #closed = new AbortController()
  readonly #signal: AbortSignal
  /** In the order they were asked for; the same block may be wanted twice. */
  readonly #wants = new Set<{ readonly cid: CID }>()
  #received = 0
  #searching = false

  constructor(components: ExchangeComponents, searches: Limiter, dials: Limiter, options: ExchangeOptions) {
    this.#components = components
    this.#searches = searches
    this.#dials = dials
    this.#signal = anySignal(this.#closed.signal, options.signal) ?? this.#closed.signal
    const named = (options.providers ?? []).map(toProvider)
    this.#bitswap = components.bitswap.session({
      signal: this.#signal,
      providers: named.map(({ id }) => id).filter(id => id !== ''),
    })
    for (const provider of named) this.#connect(provider)
  }

  async get(cid: CID, options: AbortOptions): Promise<Uint8Array> {
    const want = { cid }
    this.#wants.add(want)
    this.#search()
    try {
      const data = await this.#bitswap.get(cid, options)
      this.#received++
      return data
    } finally {
      this.#wants.delete(want)
    }
  }

  [Symbol.dispose](): void {
    this.#closed.abort(new DOMException('the session has ended', 'AbortError'))
    this.#bitswap[Symbol.dispose]()
  }

  #connect(provider: Provider): void {
    const { tasks, dial, logger } = this.#components
    tasks.run('connect to provider', async () => {
      try {
        const id = await this.#dials.run(() => dial(provider, { signal: this.#signal }), {
          signal: this.#signal,
        })
        this.#bitswap.addProviders([id])
      } catch (error) {
        // One provider of several; the block's own deadline tells when none of them helps.
        logger.debug({ provider: provider.id, error: errorMessage(error) }, 'cannot connect to a provider')
      }
    })
  }

  /** Runs while something is wanted. */
  #search(): void {
    const { findProviders, tasks } = this.#components
    if (this.#searching || findProviders === undefined || this.#signal.aborted) return
    this.#searching = true
    tasks.run('search providers', async stop => {
      const signal = anySignal(stop, this.#signal)
      try {
        await this.#searchUntilServed(findProviders, signal)
      } catch (error) {
        if (signal?.aborted !== true) throw error
      } finally {
        this.#searching = false
      }
    })
  }

  async #searchUntilServed(
    findProviders: NonNullable<ExchangeComponents['findProviders']>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { clock } = this.#components
    let pause = SEARCH_AFTER_MS
    while (this.#wants.size > 0) {
      const before = this.#received
      await clock.sleep(pause, { signal })
      if (this.#received > before) {
        pause = SEARCH_AFTER_MS
        continue
      }
      const [oldest] = this.#wants
      if (oldest === undefined) return
      await this.#searches.run(() => this.#searchOnce(findProviders, oldest.cid, signal), { signal })
      pause = Math.min(pause * 2, MAX_SEARCH_PAUSE_MS)
    }
  }

  async #searchOnce(
    findProviders: NonNullable<ExchangeComponents['findProviders']>,
    cid: CID,
    stop: AbortSignal | undefined,
  ): Promise<void> {
    const { clock, logger } = this.#components
    const signal = anySignal(stop, clock.timeout(SEARCH_TIMEOUT_MS))
    const found = new Set<string>()
    try {
      for await (const provider of findProviders(cid, { signal })) {
        if (found.has(provider.id)) continue
        found.add(provider.id)
        this.#connect(provider)
        if (found.size >= PROVIDERS_PER_SEARCH) break
      }
    } catch (error) {
      stop?.throwIfAborted()
      logger.debug({ cid: cid.toString(), error: errorMessage(error) }, 'provider search ended early')
    }
    logger.debug({ cid: cid.toString(), providers: found.size }, 'searched providers')
  }
}

/** A hint is a peer id, or a multiaddr whose last /p2p part names the peer. */
function toProvider(hint: string): Provider {
  if (!hint.startsWith('/')) return { id: hint, addresses: [] }
  const id = /\/(?:p2p|ipfs)\/([^/]+)\/?$/.exec(hint)?.[1] ?? ''
  return { id, addresses: [hint] }
}
