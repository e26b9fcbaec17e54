/** What one peer has under way with us, on all of its streams. */
export interface PeerAccount {
  /** Calls that are being served. */
  readonly calls: Set<Promise<void>>
  /** Streams of `MUX_PROTOCOL`, oldest first, each with what resets it. */
  readonly muxStreams: Set<(error: Error) => void>
  /** Requests of which a part has arrived on those streams. */
  partials: number
  /** Bytes of requests that have arrived and are not taken by their methods yet. */
  requestBytes: number
  /** Bytes of unary replies on streams of their own that wait to be read. */
  replyBytes: number
}

/** Accounts of the peers that have something under way. */
export class PeerAccounts {
  readonly #accounts = new Map<string, PeerAccount>()

  of(peer: string): PeerAccount {
    let account = this.#accounts.get(peer)
    if (account === undefined) {
      account = { calls: new Set(), muxStreams: new Set(), partials: 0, requestBytes: 0, replyBytes: 0 }
      this.#accounts.set(peer, account)
    }
    return account
  }

  /** Call it when something of this peer has ended. */
  settle(peer: string): void {
    const account = this.#accounts.get(peer)
    if (account?.calls.size === 0 && account.muxStreams.size === 0) this.#accounts.delete(peer)
  }
}
