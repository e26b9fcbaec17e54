import { setImmediate } from 'node:timers/promises'
import {
  type Clock,
  errorMessage,
  isAbortError,
  type Logger,
  type Random,
  raceSignal,
  type TaskScope,
} from '@ipfs-cluster/base'
import {
  FIRST_FETCH_TIMEOUT_MS,
  MAX_ANNOUNCED,
  MAX_FRONTIER_IN_MEMORY,
  MAX_PROVIDERS,
  MAX_RETRY_MS,
  MAX_STALLED,
  MAX_TURN_MS,
  MIN_RETRY_MS,
  STALL_MS,
} from './limits.ts'
import type { NodeLink } from './node.ts'
import type { CrdtBlocks, CrdtConfig } from './types.ts'

/**
 * `fresh`, `due`: waits for a slot, for the first or another attempt. `fetching`: has one. `stalled`: under way without one. `pausing` after a failed
 * attempt. `idle`: nothing is to be done.
 */
export type JobState = 'idle' | 'fresh' | 'due' | 'fetching' | 'stalled' | 'pausing'

/** A node to be fetched. Only `Fetcher` writes what is not readonly. */
export class Job {
  readonly link: NodeLink
  /** Who led us here first: the author of an announcement. */
  readonly source: string
  /** All who did, `MAX_PROVIDERS` at most. Jobs of different sources take turns. */
  readonly sources: string[]
  providers: readonly string[]
  state: JobState = 'idle'
  attempts = 0
  /** When the attempt began, or the pause ends; by the monotonic clock. */
  at = 0
  abort: AbortController | undefined

  constructor(link: NodeLink, source: string, providers: readonly string[]) {
    this.link = link
    this.source = source
    this.sources = [source]
    this.providers = providers
  }
}

export interface FetcherComponents<J extends Job> {
  readonly blocks: Pick<CrdtBlocks, 'get'>
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly scope: TaskScope
  /** Nothing new is to be fetched for the moment. */
  readonly isPaused: () => boolean
  /** Takes what was delivered. */
  readonly onData: (job: J, data: Uint8Array) => Promise<void>
  /** An attempt has failed; whether there is to be another one. */
  readonly onFailure: (job: J) => boolean
}

interface Source<J> {
  readonly fresh: J[]
  readonly due: J[]
  stalled: number
}

/**
 * Decides which node is asked for next, and asks. No peer can keep others' nodes waiting by naming some that never come:
 *
 * - sources take turns, whatever each of them has waiting;
 * - the newest of a source comes first, so that what has waited in vain for long stays at the bottom;
 * - an attempt that takes longer than `STALL_MS` gives up its slot and goes on without, up to `MAX_STALLED`; then the oldest of the source with most
 *   of them is cut short;
 * - repeated attempts get at most half of the slots.
 */
export class Fetcher<J extends Job> {
  readonly #components: FetcherComponents<J>
  readonly #config: CrdtConfig
  readonly #sources = new Map<string, Source<J>>()
  /** Attempts under way, oldest first. */
  readonly #running = new Set<J>()
  readonly #pausing = new Set<J>()
  #slots = 0
  #retrying = 0
  #stalled = 0
  #sweeping = false
  #turn = 0
  #yielding: Promise<void> | undefined

  constructor(components: FetcherComponents<J>, config: CrdtConfig) {
    this.#components = components
    this.#config = config
    const { scope } = components
    scope.signal.addEventListener('abort', () => {
      for (const { abort } of this.#running) abort?.abort(scope.signal.reason)
    })
  }

  /** Queues an idle job. */
  add(job: J): void {
    const state = job.attempts > 0 ? 'due' : 'fresh'
    job.state = state
    for (const name of job.sources) this.#list(job, state, name)
  }

  /** Lets a job come with the turns of another source too. An attempt under way begins anew: it knows nothing of that peer. */
  addSource(job: J, name: string): void {
    const { sources, state } = job
    if (sources.includes(name) || sources.length >= MAX_PROVIDERS) return
    sources.push(name)
    if (state === 'fresh' || state === 'due') this.#list(job, state, name)
    if (state !== 'fetching' && state !== 'stalled') return
    this.drop(job)
    this.add(job)
    this.pump()
  }

  #list(job: J, state: 'fresh' | 'due', name: string): void {
    const jobs = this.#source(name)[state]
    jobs.push(job)
    // Most of so many have been dropped.
    if (jobs.length >= MAX_LISTED) jobs.splice(0, jobs.length, ...jobs.filter(other => other.state === state))
  }

  /** Ends the pause of a job. */
  hurry(job: J): void {
    if (job.state !== 'pausing') return
    this.#pausing.delete(job)
    this.add(job)
    this.pump()
  }

  /** Forgets a job, whatever is done with it. */
  drop(job: J): void {
    this.#pausing.delete(job)
    const { abort } = job
    this.#release(job)
    job.state = 'idle'
    abort?.abort(new DOMException('no longer needed', 'AbortError'))
  }

  /** A job that may be dropped for a newer one: of those that wait for their first attempt, or else for another. */
  leastPromising(): J | undefined {
    let longest: Source<J> | undefined
    for (const source of this.#sources.values()) {
      if (source.fresh.length > (longest?.fresh.length ?? 0)) longest = source
    }
    const waiting = longest?.fresh ?? []
    while (waiting.length > 0) {
      const job = waiting.shift()
      if (job?.state === 'fresh') return job
    }
    const [job] = this.#pausing
    return job
  }

  /** Starts what there are slots for. */
  pump(): void {
    while (this.#slots < this.#config.fetchConcurrency && !this.#components.isPaused()) {
      const job = this.#next()
      if (job === undefined) break
      this.#start(job)
    }
  }

  #source(name: string): Source<J> {
    let source = this.#sources.get(name)
    if (source === undefined) {
      source = { fresh: [], due: [], stalled: 0 }
      this.#sources.set(name, source)
    }
    return source
  }

  #next(): J | undefined {
    const maxRetrying = Math.max(1, Math.floor(this.#config.fetchConcurrency / 2))
    for (const [name, source] of this.#sources) {
      const job =
        (this.#retrying < maxRetrying ? popOf(source.due, 'due') : undefined) ?? popOf(source.fresh, 'fresh')
      const isEmpty = source.due.length + source.fresh.length + source.stalled === 0
      if (isEmpty || job !== undefined) this.#sources.delete(name)
      if (job === undefined) continue
      // To the end of the line.
      this.#sources.set(name, source)
      return job
    }
    return undefined
  }

  #start(job: J): void {
    if (job.state === 'due') this.#retrying++
    job.state = 'fetching'
    job.at = this.#components.clock.monotonic()
    const abort = new AbortController()
    job.abort = abort
    this.#slots++
    this.#running.add(job)
    this.#components.scope.run('crdt fetch', () => this.#fetch(job, abort.signal))
    this.#sweepLater()
  }

  async #fetch(job: J, signal: AbortSignal): Promise<void> {
    const { blocks, logger, scope, onData } = this.#components
    const { link, providers } = job
    let data: Uint8Array
    try {
      data = await raceSignal(blocks.get(link.cid, { signal, providers }), signal)
    } catch (err) {
      // Otherwise it has been dropped.
      if (job.abort?.signal === signal && !scope.signal.aborted) {
        const reason = isAbortError(err) ? 'not delivered in time' : errorMessage(err)
        logger.debug({ cid: link.cid, providers, attempts: job.attempts + 1 }, `fetching a node: ${reason}`)
        this.failed(job)
      }
      return
    }
    if (this.#components.clock.monotonic() - this.#turn > MAX_TURN_MS) await this.#yield()
    if (job.abort?.signal !== signal || scope.signal.aborted) return
    this.#release(job)
    job.state = 'idle'
    await onData(job, data)
    this.pump()
  }

  /** What is delivered at once, by a cache, must not keep everybody else from running. */
  async #yield(): Promise<void> {
    this.#yielding ??= setImmediate().then(() => {
      this.#yielding = undefined
      this.#turn = this.#components.clock.monotonic()
    })
    await this.#yielding
  }

  /** The attempt under way, or just finished, has failed. */
  failed(job: J): void {
    const { clock, random, onFailure } = this.#components
    this.#release(job)
    job.state = 'idle'
    job.attempts++
    if (onFailure(job)) {
      const pause =
        Math.min(MAX_RETRY_MS, MIN_RETRY_MS * 2 ** (job.attempts - 1)) * (0.8 + 0.4 * random.float())
      job.state = 'pausing'
      job.at = clock.monotonic() + pause
      this.#pausing.add(job)
      this.#sweepLater()
    }
    this.pump()
  }

  /** Gives back what an attempt occupies, if there is one. */
  #release(job: J): void {
    if (!this.#running.delete(job)) return
    job.abort = undefined
    if (job.state === 'stalled') {
      this.#stalled--
      this.#source(job.source).stalled--
    } else this.#freeSlot(job)
  }

  #freeSlot({ attempts }: J): void {
    this.#slots--
    if (attempts > 0) this.#retrying--
  }

  #sweepLater(): void {
    if (this.#sweeping) return
    this.#sweeping = true
    const { clock, scope } = this.#components
    scope.run('crdt fetch deadlines', async signal => {
      try {
        while (this.#running.size + this.#pausing.size > 0) {
          await clock.sleep(this.#untilNext(), { signal })
          this.#sweep()
        }
      } finally {
        this.#sweeping = false
      }
    })
  }

  /** Milliseconds until something may be due, within bounds: what is added meanwhile is not waited for. */
  #untilNext(): number {
    const now = this.#components.clock.monotonic()
    let next = now + STALL_MS
    for (const job of this.#running) next = Math.min(next, job.at + this.#limitOf(job))
    for (const { at } of this.#pausing) next = Math.min(next, at)
    return Math.max(MIN_SWEEP_MS, next - now)
  }

  #limitOf(job: J): number {
    return job.state === 'fetching' ? Math.min(STALL_MS, this.#deadlineOf(job)) : this.#deadlineOf(job)
  }

  #deadlineOf({ attempts }: J): number {
    return Math.min(this.#config.fetchTimeoutMs, FIRST_FETCH_TIMEOUT_MS * 2 ** attempts)
  }

  #sweep(): void {
    const now = this.#components.clock.monotonic()
    for (const job of this.#running) {
      if (now - job.at >= this.#deadlineOf(job))
        job.abort?.abort(new DOMException('not delivered in time', 'TimeoutError'))
      else if (job.state === 'fetching' && now - job.at >= STALL_MS) this.#stall(job)
    }
    for (const job of this.#pausing) {
      if (job.at > now) continue
      this.#pausing.delete(job)
      this.add(job)
    }
    this.pump()
  }

  #stall(job: J): void {
    this.#freeSlot(job)
    job.state = 'stalled'
    this.#stalled++
    const source = this.#source(job.source)
    source.stalled++
    if (this.#stalled <= MAX_STALLED) return
    let most = source
    for (const other of this.#sources.values()) if (other.stalled > most.stalled) most = other
    for (const candidate of this.#running) {
      if (candidate.state !== 'stalled' || this.#source(candidate.source) !== most) continue
      const { abort } = candidate
      this.failed(candidate)
      abort?.abort(new DOMException('others wait', 'AbortError'))
      return
    }
  }
}

/** Jobs in one list before those that wait no longer are taken out. */
const MAX_LISTED = 2 * (MAX_ANNOUNCED + MAX_FRONTIER_IN_MEMORY)

/** Deadlines are looked at no more often, in milliseconds. */
const MIN_SWEEP_MS = 50

/** The newest job that still waits; others have been dropped or taken elsewhere. */
function popOf<J extends Job>(jobs: J[], state: JobState): J | undefined {
  while (jobs.length > 0) {
    const job = jobs.pop()
    if (job?.state === state) return job
  }
  return undefined
}
