import type { ConnectionProtector } from '@libp2p/interface'
import { errorMessage } from '@ipfs-cluster/base'
import type { Multiaddr, PeerId } from '@ipfs-cluster/api'
import { NetworkError } from './errors.ts'

/** What js-libp2p tells of a dial under way. */
interface Progress {
  readonly type: string
}

const PROTECT_EVENT = 'cluster:protect-outbound-connection'
const HANDSHAKE_EVENTS: ReadonlySet<string> = new Set([PROTECT_EVENT, 'upgrader:encrypt-outbound-connection'])

/** Makes a protector tell the dial that its handshake begins; libp2p passes the options of the dial to it. */
export function markHandshake(protector: ConnectionProtector): ConnectionProtector {
  return {
    protect(connection, options) {
      const { onProgress } = (options ?? {}) as { onProgress?: (event: Progress) => void }
      onProgress?.({ type: PROTECT_EVENT })
      return protector.protect(connection, options)
    },
  }
}

/** Watches one dial, to tell a peer that is not there from one that speaks with another secret. */
export class DialWatch {
  readonly #target: Multiaddr | PeerId
  #shookHands = false

  constructor(target: Multiaddr | PeerId) {
    this.#target = target
  }

  /** For `onProgress` of the dial. */
  readonly onProgress = ({ type }: Progress): void => {
    if (HANDSHAKE_EVENTS.has(type)) this.#shookHands = true
  }

  /** What an operator should know of a failed dial. */
  error(error: unknown): NetworkError {
    const target = this.#target
    const reason = errorMessage(error)
    const options = { cause: error }
    if (isOtherPeer(reason)) {
      return new NetworkError(
        `another peer answers at ${target} (${reason}); correct the peer id in that address`,
        { code: 'NET_WRONG_PEER', target },
        options,
      )
    }
    if (this.#shookHands || isEncryptionFailure(error)) {
      return new NetworkError(
        `${target} answers, but no secure channel comes up (${reason}): wrong cluster secret? ` +
          'Every peer of a cluster needs the same cluster.secret',
        { code: 'NET_WRONG_SECRET', target },
        options,
      )
    }
    return new NetworkError(
      `cannot connect to ${target} (${reason}); check that the peer runs and that its address is right`,
      { code: 'NET_UNREACHABLE', target },
      options,
    )
  }
}

/** Noise and TLS have no code for it. */
function isOtherPeer(reason: string): boolean {
  return /identity key .* does not match|unexpected peer|remote peer id .* does not match/i.test(reason)
}

function isEncryptionFailure(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.some(isEncryptionFailure)
  return error instanceof Error && error.name === 'EncryptionFailedError'
}
