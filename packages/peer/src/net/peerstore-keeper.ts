import type { Libp2p } from '@libp2p/interface'
import { errorMessage, Limiter, raceSignal, type Clock, type Logger } from '@ipfs-cluster/base'
import { writePeerstore, type PeerAddresses } from './peerstore-file.ts'

/** After somebody was met others often follow: they are written together, so long after those before. Milliseconds. */
const REST_MS = 1_000

export interface PeerstoreKeeperComponents {
  readonly libp2p: Pick<Libp2p, 'addEventListener'>
  /** Those to write, best first. */
  readonly peers: () => Promise<readonly PeerAddresses[]>
  readonly path: string
  readonly clock: Clock
  readonly logger: Logger
}

/**
 * The peerstore file, written when the peer stops and as soon as it has met somebody new: a peer that is killed, or whose machine loses power, finds the
 * others again although nobody tells it where they are. At once, since two peers that are killed before either knows of the other are apart for
 * ever. (Go writes it only when it stops.)
 */
export interface PeerstoreKeeper {
  /** @throws NetworkError `NET_PEERSTORE_FAILED` */
  save(): Promise<void>
  /** Until `signal` fires. */
  run(signal: AbortSignal): Promise<void>
}

export function createPeerstoreKeeper(components: PeerstoreKeeperComponents): PeerstoreKeeper {
  const { libp2p, peers, path, clock, logger } = components
  const turns = new Limiter(1)
  let written = ''

  const save = (always: boolean) =>
    turns.run(async () => {
      const found = await peers()
      const content = contentOf(found)
      if (!always && content === written) return
      await writePeerstore(path, found)
      written = content
    })

  return {
    save: () => save(true),
    async run(signal) {
      let met = Promise.withResolvers<void>()
      libp2p.addEventListener('peer:identify', () => met.resolve(), { signal })
      while (true) {
        await raceSignal(met.promise, signal)
        met = Promise.withResolvers()
        await save(false).catch((error: unknown) => {
          // Stopping tries again, and warns.
          logger.debug({ error: errorMessage(error) }, 'cannot save the peerstore file yet')
        })
        await clock.sleep(REST_MS, { signal })
      }
    },
  }
}

/** The same for the same addresses in any order. */
function contentOf(peers: readonly PeerAddresses[]): string {
  return peers
    .flatMap(({ peer, addresses }) => addresses.map(address => `${peer} ${address.toString()}`))
    .toSorted()
    .join('\n')
}
