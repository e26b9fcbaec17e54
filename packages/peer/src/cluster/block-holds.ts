/** Holds of blocks at other peers, for adds: an RPC of ours alone (decision 0023). */
import { isRemotePin, TRACKER_STATUS, type PeerId } from '@ipfs-cluster/api'
import { anySignal, Channel, type AbortOptions, type Clock } from '@ipfs-cluster/base'
import type { RpcClient } from '@ipfs-cluster/gorpc'
import type { CID } from 'multiformats/cid'
import type { DestinationHold } from '../adder/index.ts'
import type { IpfsConnector } from '../ipfsconn/index.ts'
import type { PinState } from '../state/index.ts'
import { RPC, type Network } from '../net/index.ts'

/** For the words of an add that ends, to a peer that may have gone. Milliseconds. */
const RELEASE_DEADLINE_MS = 5_000

export interface BlockHoldsComponents {
  readonly network: Pick<Network, 'peerId' | 'rpc'>
  readonly ipfs: Pick<IpfsConnector, 'hold'>
  readonly state: Pick<PinState, 'get'>
  readonly clock: Clock
}

/** Keeps what an add has put to `peer` from collection there. @throws when the peer does not know how, such as one in Go. */
export async function holdBlocks(
  { network, ipfs, state, clock }: BlockHoldsComponents,
  peer: PeerId,
  options: AbortOptions,
): Promise<DestinationHold> {
  if (peer !== network.peerId) return await holdAt(network, clock, peer, options)
  const hold = await ipfs.hold?.(options)
  return {
    keepFor: root =>
      hold?.keepFor(root, async () => {
        const pin = await state.get(root)
        return pin !== undefined && !isRemotePin(pin, peer)
      }),
    [Symbol.asyncDispose]: async () => hold?.release(),
  }
}

async function holdAt(
  { rpc }: Pick<Network, 'rpc'>,
  clock: Clock,
  peer: PeerId,
  { signal }: AbortOptions,
): Promise<DestinationHold> {
  const ended = new AbortController()
  const roots = new Channel<CID>(1)
  const either = anySignal(signal, ended.signal)
  const replies = rpc.stream(peer, RPC.IPFSConnector.HoldBlocks, roots, { signal: either })
  const answers = replies[Symbol.asyncIterator]()
  // The first reply says that the hold stands.
  if ((await answers.next()).done === true) throw new Error(`${peer} ended the hold`)
  return {
    keepFor(root) {
      roots.tryPush(root)
      // It is told while the root is being pinned, and not once somebody waits for the end.
      roots.end()
    },
    async [Symbol.asyncDispose]() {
      roots.end()
      const late = clock.timeout(RELEASE_DEADLINE_MS)
      const giveUp = () => ended.abort(late.reason)
      late.addEventListener('abort', giveUp, { once: true })
      try {
        // The end of the replies says that the root has arrived.
        await answers.next()
      } catch {
        // Without the connection the hold has ended, too, or stands until the root that it was told is pinned.
      } finally {
        late.removeEventListener('abort', giveUp)
      }
    },
  }
}

/**
 * The other side of it: holds until there are no more roots, and then until the last of them is pinned. Whether it is still to be is known where it
 * was added: this peer may hear of the pin later, or, when it has been taken back at once, never.
 */
export async function* serveHold(
  {
    ipfs: { hold },
    rpc,
  }: { readonly ipfs: Pick<IpfsConnector, 'hold'>; readonly rpc: Pick<RpcClient, 'call'> },
  roots: AsyncIterable<CID>,
  { peer, signal }: { readonly peer: PeerId; readonly signal: AbortSignal },
): AsyncGenerator<Readonly<Record<never, never>>> {
  const held = await hold?.({ signal })
  try {
    yield {}
    for await (const root of roots) {
      held?.keepFor(root, async options => {
        const [info] = await rpc.call(peer, RPC.PinTracker.StatusMany, [root], options)
        return info?.status !== TRACKER_STATUS.unpinned
      })
    }
  } finally {
    held?.release()
  }
}
