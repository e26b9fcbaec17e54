import { asError, raceSignal, type Logger } from '@ipfs-cluster/base'
import { MuxSession, type SessionContext } from './mux-session.ts'
import { MUX_PROTOCOL, type RpcStream } from './protocol.ts'

/** How the client comes to streams of `MUX_PROTOCOL`. */
export interface MuxDialer {
  /** False while it is known of the peer, as it is connected now, that it does not speak `MUX_PROTOCOL`. */
  maySpeak(peer: string): boolean
  /** True while it is known of the peer, as it is connected now, that it speaks `MUX_PROTOCOL`. @default never */
  speaks?(peer: string): boolean
  /** Opens a stream of `MUX_PROTOCOL`, or one of `RPC_PROTOCOL` when the peer does not speak that; dials if need be. */
  open(
    peer: string,
    options: { readonly signal: AbortSignal },
  ): Promise<RpcStream & { readonly protocol: string }>
}

export interface PoolContext extends SessionContext {
  readonly dialer: MuxDialer
  readonly logger: Logger
}

/** One attempt to open a stream, shared by all calls to that peer which begin meanwhile. */
interface Opening {
  readonly controller: AbortController
  readonly session: Promise<MuxSession | undefined>
  waiting: number
  /** The stream when the peer does not speak `MUX_PROTOCOL`: for the first who comes. */
  spare: RpcStream | undefined
}

/** The streams of `MUX_PROTOCOL` to all peers, at most one for each. */
export class MuxPool implements AsyncDisposable {
  readonly #context: PoolContext
  readonly #sessions = new Map<string, MuxSession>()
  /** Those that take no new calls and whose last ones are still under way. */
  readonly #retired = new Set<MuxSession>()
  readonly #openings = new Map<string, Opening>()
  /** All attempts under way, those that nobody waits for included. */
  readonly #attempts = new Set<Opening>()
  readonly #stopped = new AbortController()

  constructor(context: PoolContext) {
    this.#context = context
  }

  /** The session with this peer, if there is one. */
  session(peer: string): MuxSession | undefined {
    return this.#sessions.get(peer)
  }

  /**
   * A session, opened if need be; or a stream of `RPC_PROTOCOL` that the attempt brought; or `undefined`: the peer does not speak
   * `MUX_PROTOCOL`, and the caller opens a stream of `RPC_PROTOCOL`.
   *
   * @throws the signal's reason; whatever the dialer throws.
   */
  async reach(peer: string, signal: AbortSignal): Promise<MuxSession | RpcStream | undefined> {
    signal.throwIfAborted()
    if (this.#stopped.signal.aborted) throw asError(this.#stopped.signal.reason)
    const session = this.#sessions.get(peer)
    if (session !== undefined) return session
    if (!this.#context.dialer.maySpeak(peer)) return undefined
    const opening = this.#openings.get(peer) ?? this.#open(peer)
    opening.waiting++
    try {
      const session = await raceSignal(opening.session, signal)
      if (session !== undefined) return session
      const { spare } = opening
      opening.spare = undefined
      return spare
    } finally {
      if (--opening.waiting === 0) this.#abandon(peer, opening)
    }
  }

  /** Resets all streams and waits for those that were being opened. */
  async [Symbol.asyncDispose](): Promise<void> {
    const reason = new Error('this peer is stopping')
    this.#stopped.abort(reason)
    const openings = [...this.#attempts]
    for (const { controller } of openings) controller.abort(reason)
    for (const session of this.#sessions.values()) session.abort(reason)
    for (const session of this.#retired) session.abort(reason)
    await Promise.allSettled(openings.map(({ session }) => session))
  }

  #open(peer: string): Opening {
    const controller = new AbortController()
    const opening: Opening = {
      controller,
      waiting: 0,
      spare: undefined,
      session: this.#dial(peer, controller, stream => {
        opening.spare = stream
      }).finally(() => {
        this.#attempts.delete(opening)
        this.#forget(peer, opening)
      }),
    }
    this.#openings.set(peer, opening)
    this.#attempts.add(opening)
    return opening
  }

  /** Nobody waits any more: ends the attempt, and a stream that nobody took. */
  #abandon(peer: string, opening: Opening): void {
    this.#forget(peer, opening)
    opening.controller.abort(new Error('nobody waits for the stream any more'))
    opening.spare?.abort(new Error('nobody takes the stream'))
  }

  #forget(peer: string, opening: Opening): void {
    if (this.#openings.get(peer) === opening) this.#openings.delete(peer)
  }

  /** @param onOther takes the stream when the peer chose the other protocol. */
  async #dial(
    peer: string,
    { signal }: AbortController,
    onOther: (stream: RpcStream) => void,
  ): Promise<MuxSession | undefined> {
    const stream = await this.#context.dialer.open(peer, { signal })
    if (signal.aborted) {
      stream.abort(asError(signal.reason))
      throw asError(signal.reason)
    }
    if (stream.protocol !== MUX_PROTOCOL) {
      onOther(stream)
      return undefined
    }
    const session = new MuxSession(this.#context, stream, {
      onRetire: () => {
        if (this.#sessions.get(peer) === session) this.#sessions.delete(peer)
        this.#retired.add(session)
      },
      onClose: error => {
        this.#retired.delete(session)
        this.#context.logger.debug({ peer, err: error }, 'the stream of all calls to a peer is closed')
      },
    })
    this.#sessions.set(peer, session)
    return session
  }
}
