/** For the tests of this room: peers in one process that hear each other's announcements and fetch each other's blocks. */
import type { PeerId } from '@ipfs-cluster/api'
import { systemClock } from '@ipfs-cluster/base'
import type { Bitswap, BitswapBlocks, WantOptions } from '@ipfs-cluster/bitswap'
import { RpcError, type RpcClient } from '@ipfs-cluster/gorpc'
import type { CID } from 'multiformats/cid'
import type { PubsubMessage } from '../net/index.ts'
import type { CrdtConsensusComponents } from './crdt-consensus.ts'

type FakeNetwork = CrdtConsensusComponents['network'] & {
  readonly blocks: BitswapBlocks | undefined
  readonly protectedPeers: ReadonlySet<PeerId>
  /** Addresses that were dialled. */
  readonly dialled: readonly string[]
  readonly exchangeClosed: boolean
}

interface Subscription {
  readonly peer: PeerId
  readonly topic: string
  readonly handler: (message: PubsubMessage) => void
  readonly accept: (from: PeerId) => boolean
}

const RETRY_MS = 5

/** As a peer that knows none of our own methods. */
const withoutMethods: RpcClient = {
  call: (peer, { service, method }) => Promise.reject(unknownMethod(peer, `${service}.${method}`)),
  // eslint-disable-next-line require-yield
  async *stream(peer, { service, method }) {
    throw unknownMethod(peer, `${service}.${method}`)
  },
}

function unknownMethod(peer: PeerId, method: string): RpcError {
  return new RpcError(`rpc: can't find method ${method}`, { code: 'RPC_PROTOCOL', peer, method })
}

/** The wire between the peers of a test. Blocks travel only between connected peers. */
export class FakeWire {
  readonly peers = new Map<PeerId, FakeNetwork>()
  readonly #subscriptions = new Set<Subscription>()
  readonly #connections = new Set<string>()

  connect(a: PeerId, b: PeerId): void {
    this.#connections.add(`${a} ${b}`)
    this.#connections.add(`${b} ${a}`)
  }

  add(peerId: PeerId): FakeNetwork {
    const dialled: string[] = []
    const protectedPeers = new Set<PeerId>()
    let blocks: BitswapBlocks | undefined
    let exchangeClosed = false
    const network: FakeNetwork = {
      peerId,
      protectedPeers,
      dialled,
      get blocks() {
        return blocks
      },
      get exchangeClosed() {
        return exchangeClosed
      },
      connectedPeers: () => [...this.peers.keys()].filter(other => this.#isConnected(peerId, other)),
      addressesOf: peer =>
        Promise.resolve(this.peers.has(peer) ? [`/nowhere/p2p/${peer}`, `/fake/p2p/${peer}`] : []),
      connect: address => {
        dialled.push(address)
        if (address.startsWith('/nowhere')) return Promise.reject(new Error('nobody answers'))
        const peer = address.split('/').at(-1) ?? ''
        this.connect(peerId, peer)
        return Promise.resolve(peer)
      },
      protect: peer => {
        protectedPeers.add(peer)
        return Promise.resolve()
      },
      publish: (topic, data) => {
        this.#deliver(topic, { data, from: peerId, forwarder: peerId })
        return Promise.resolve()
      },
      subscribe: (topic, handler, { accept = () => true } = {}) => {
        const subscription = { peer: peerId, topic, handler, accept }
        this.#subscriptions.add(subscription)
        return { [Symbol.dispose]: () => void this.#subscriptions.delete(subscription) }
      },
      rpc: withoutMethods,
      exchange: served => {
        blocks = served
        const get = (cid: CID, options?: WantOptions) => this.#fetch(peerId, cid, options)
        const session = () => ({ get, addProviders: () => undefined, [Symbol.dispose]: () => undefined })
        const bitswap: Pick<Bitswap, 'get' | 'session' | 'notify' | typeof Symbol.asyncDispose> = {
          get,
          session,
          notify: () => undefined,
          [Symbol.asyncDispose]: () => {
            exchangeClosed = true
            return Promise.resolve()
          },
        }
        return Promise.resolve(bitswap as Bitswap)
      },
    }
    this.peers.set(peerId, network)
    return network
  }

  #deliver(topic: string, message: PubsubMessage): void {
    for (const { handler, accept, ...subscription } of this.#subscriptions) {
      if (subscription.topic === topic && accept(message.from)) setImmediate(() => handler(message))
    }
  }

  #isConnected(a: PeerId, b: PeerId): boolean {
    return this.#connections.has(`${a} ${b}`)
  }

  /** As bitswap: asks whoever is connected until somebody has it. */
  async #fetch(to: PeerId, cid: CID, { signal }: WantOptions = {}): Promise<Uint8Array> {
    while (true) {
      for (const [from, { blocks }] of this.peers) {
        const data = this.#isConnected(to, from) ? await blocks?.get(cid) : undefined
        if (data !== undefined) return data
      }
      await systemClock.sleep(RETRY_MS, { signal })
    }
  }
}
