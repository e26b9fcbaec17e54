/** What a connector has under way; all of it ends when the connector closes. */
export class UnderWay {
  readonly #closing = new AbortController()
  readonly #active = new Set<Promise<unknown>>()

  /** Fires when the connector closes. */
  get closing(): AbortSignal {
    return this.#closing.signal
  }

  begin(): Call {
    return new Call(this.#active)
  }

  /** Resolves when the last of them has ended. */
  async close(): Promise<void> {
    this.#closing.abort(new DOMException('the IPFS connector is stopped', 'AbortError'))
    await Promise.all(this.#active)
  }
}

/** One call; ends with its disposal. */
export class Call implements Disposable {
  readonly #active: Set<Promise<unknown>>
  readonly #done = Promise.withResolvers<void>()

  constructor(active: Set<Promise<unknown>>) {
    this.#active = active
    this.resume()
  }

  /** Nothing of it is under way that a closing could wait for: whoever reads the answer is busy with a part of it. */
  pause(): void {
    this.#active.delete(this.#done.promise)
  }

  resume(): void {
    this.#active.add(this.#done.promise)
  }

  [Symbol.dispose](): void {
    this.pause()
    this.#done.resolve()
  }
}
