import type { Clock } from './clock.ts'
import type { Logger } from './logger.ts'

/** While a failure lasts it is told again after this time, in milliseconds. */
const REMIND_MS = 60_000

/** Reports of work that is repeated until it succeeds: the failure once, then every minute while it lasts, then that it is over. */
export class LastingFailure {
  readonly #logger: Logger
  readonly #clock: Pick<Clock, 'monotonic'>
  #toldAt: number | undefined
  #text = ''
  #attempts = 0

  constructor(logger: Logger, clock: Pick<Clock, 'monotonic'>) {
    this.#logger = logger
    this.#clock = clock
  }

  /** The latest attempt failed. */
  get isLasting(): boolean {
    return this.#toldAt !== undefined
  }

  /** @param text names the reason: another reason is told at once. */
  failed(fields: Readonly<Record<string, unknown>>, text: string): void {
    const now = this.#clock.monotonic()
    this.#attempts++
    const isNews = this.#toldAt === undefined || text !== this.#text || now - this.#toldAt >= REMIND_MS
    if (!isNews) return this.#logger.debug({ ...fields, attempts: this.#attempts }, text)
    this.#toldAt = now
    this.#text = text
    this.#logger.error({ ...fields, attempts: this.#attempts }, text)
  }

  /** Cheap while nothing has failed. */
  succeeded(text: string): void {
    if (this.#toldAt === undefined) return
    this.#logger.info({ attempts: this.#attempts }, text)
    this.#toldAt = undefined
    this.#attempts = 0
  }
}
