import type { Stream } from '@libp2p/interface'
import type { Clock } from '@ipfs-cluster/base'
import type { PeerId } from '@ipfs-cluster/api'

/** What one peer has sent and we have not worked off; above it we stop reading, below half of it we go on. */
const MAX_UNHANDLED_BYTES = 4 * 1024 * 1024

/** What an RPC costs besides its bytes, so that empty ones count too. */
const RPC_OVERHEAD_BYTES = 1024

/** Messages of one peer that are worked on before others have their turn: at most some milliseconds. */
export const TURN_MESSAGES = 16

export interface Step {
  /** In messages. */
  readonly weight: number
  readonly run: () => Promise<void>
}

interface Peer {
  readonly streams: Set<Stream>
  /** Settles when all that has come is worked off; never rejects. */
  last: Promise<void>
  unhandled: number
  /** Messages since others had their turn. */
  turn: number
  paused: boolean
}

/**
 * Works off what peers send: of each peer one RPC after the other, peers by turns. js gossipsub works on all at once, and reads without
 * end; here a peer that sends faster than its messages are worked on is not read any more for a while.
 */
export class InboundWork {
  readonly #clock: Pick<Clock, 'sleep'>
  readonly #peers = new Map<PeerId, Peer>()

  constructor(clock: Pick<Clock, 'sleep'>) {
    this.#clock = clock
  }

  opened(peer: PeerId, stream: Stream): void {
    const state = this.#stateOf(peer)
    state.streams.add(stream)
    if (state.paused && isReadable(stream)) stream.pause()
    stream.addEventListener('close', () => {
      state.streams.delete(stream)
      this.#forgetIfIdle(peer, state)
    })
  }

  /** Resolves when all steps are done, or rejects with the error of the first that fails. */
  async run(peer: PeerId, bytes: number, steps: readonly Step[]): Promise<void> {
    const state = this.#stateOf(peer)
    const cost = bytes + RPC_OVERHEAD_BYTES
    state.unhandled += cost
    if (!state.paused && state.unhandled > MAX_UNHANDLED_BYTES) {
      state.paused = true
      for (const stream of state.streams) if (isReadable(stream)) stream.pause()
    }
    const work = state.last.then(() => this.#work(state, steps))
    state.last = work
      // Whoever called `run` gets the error.
      .catch(() => undefined)
      .then(() => this.#done(peer, state, cost))
    await work
  }

  async #work(state: Peer, steps: readonly Step[]): Promise<void> {
    for (const { weight, run } of steps) {
      if (state.turn >= TURN_MESSAGES) {
        state.turn = 0
        await this.#clock.sleep(0)
      }
      state.turn += weight
      await run()
    }
  }

  #done(peer: PeerId, state: Peer, cost: number): void {
    state.unhandled -= cost
    if (state.paused && state.unhandled <= MAX_UNHANDLED_BYTES / 2) {
      state.paused = false
      for (const stream of state.streams) if (isReadable(stream)) stream.resume()
    }
    this.#forgetIfIdle(peer, state)
  }

  #stateOf(peer: PeerId): Peer {
    let state = this.#peers.get(peer)
    if (state === undefined) {
      state = { streams: new Set(), last: Promise.resolve(), unhandled: 0, turn: 0, paused: false }
      this.#peers.set(peer, state)
    }
    return state
  }

  #forgetIfIdle(peer: PeerId, state: Peer): void {
    if (state.streams.size === 0 && state.unhandled === 0 && this.#peers.get(peer) === state) {
      this.#peers.delete(peer)
    }
  }
}

function isReadable({ readStatus, status }: Stream): boolean {
  return status === 'open' && (readStatus === 'readable' || readStatus === 'paused')
}
