/**
 * Peers in one process behind the port `Network`: announcements reach everybody online, calls go straight to the handlers (no codec),
 * and blocks are found at whoever serves them. What `notify` is for it is for here: a block that nobody was told of is not found.
 */
import { CodedError, raceSignal, type AbortOptions } from '@ipfs-cluster/base'
import type { Bitswap, BitswapBlocks, WantOptions } from '@ipfs-cluster/bitswap'
import type { RpcHandler } from '@ipfs-cluster/gorpc'
import { base58btc } from 'multiformats/bases/base58'
import type { CID } from 'multiformats/cid'
// Only the types: testkit serves the peer's rooms and must not need them to run.
import type { Network, PubsubMessage } from '../../peer/src/net/index.ts'
import { createFakeRpc } from './fake-rpc.ts'

export interface FakeNetworks {
  readonly networks: readonly Network[]
  /** Takes a peer off the net, or brings it back. All begin online. */
  setOnline(index: number, online: boolean): void
}

export interface FakeNetworksOptions {
  /** Are all connected from the start, or only after `connect`, `bootstrap` or a call? @default true */
  readonly connected?: boolean
}

/** What the fake peers know of each other. */
export interface FakeMember {
  readonly id: string
  readonly address: string
  readonly connections: Set<FakeMember>
  readonly topics: Map<string, Subscriber>
  online: boolean
  blocks: BitswapBlocks | undefined
  served:
    { readonly handlers: readonly RpcHandler[]; readonly isTrusted: (peer: string) => boolean } | undefined
}

interface Subscriber {
  readonly handler: (message: PubsubMessage) => void
  readonly accept: (from: string) => boolean
}

interface World {
  readonly members: readonly FakeMember[]
  /** Wakes everybody who waits for a block. */
  readonly news: EventTarget
}

type Failure = { readonly code: 'NET_UNREACHABLE' | 'NET_ALREADY_SUBSCRIBED' | 'NET_ALREADY_SERVING' }

/** Peers reached by one bootstrap. */
const BOOTSTRAP_PEERS = 3

export function createFakeNetworks(
  count: number,
  { connected = true }: FakeNetworksOptions = {},
): FakeNetworks {
  const members = Array.from({ length: count }, (_, index) => createMember(index))
  const world: World = { members, news: new EventTarget() }
  if (connected) for (const a of members) for (const b of members) if (a !== b) link(world, a, b)
  return {
    networks: members.map(member => createNetwork(world, member)),
    setOnline(index, online) {
      const member = members[index]
      if (member === undefined) throw new RangeError(`there is no peer ${index}`)
      member.online = online
      tell(world)
    },
  }
}

/** A peer id as of an Ed25519 key, the same for the same index. */
export function fakePeerId(index: number): string {
  const key = new Uint8Array(32)
  new DataView(key.buffer).setUint32(0, index + 1)
  return base58btc.baseEncode(Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20, ...key))
}

function createMember(index: number): FakeMember {
  const id = fakePeerId(index)
  return {
    id,
    address: `/ip4/127.0.0.1/tcp/${20_000 + index}/p2p/${id}`,
    connections: new Set(),
    topics: new Map(),
    online: true,
    blocks: undefined,
    served: undefined,
  }
}

function createNetwork(world: World, me: FakeMember): Network {
  const known = new Map<string, string>()
  const find = (peer: string) => world.members.find(({ id }) => id === peer)
  const reach = (peer: string): FakeMember => {
    const member = find(peer)
    if (member === undefined || !member.online || !me.online) throw unreachable(peer)
    if (member !== me) link(world, me, member)
    return member
  }
  return {
    peerId: me.id,
    addresses: () => [me.address],
    addressesOf: peer => Promise.resolve([find(peer)?.address ?? known.get(peer) ?? []].flat()),
    bandwidth: () => ({}),
    connectedPeers: () => neighbours(me).map(({ id }) => id),
    async connect(address, { signal } = {}) {
      signal?.throwIfAborted()
      return reach(peerIdOf(address)).id
    },
    async importPeers(addresses) {
      for (const address of addresses) known.set(peerIdOf(address), address)
    },
    async bootstrap() {
      const candidates = [...known.keys()].filter(peer => me.online && find(peer)?.online === true)
      return candidates.slice(0, BOOTSTRAP_PEERS).map(peer => reach(peer).id)
    },
    protect: () => Promise.resolve(),
    savePeerstore: () => Promise.resolve(),
    topics: () => [],
    async publish(topic, data) {
      for (const member of world.members) {
        const subscriber =
          member === me || (me.online && member.online) ? member.topics.get(topic) : undefined
        if (subscriber?.accept(me.id) !== true) continue
        // Never in the turn of the publisher, as on a real network; the subscription may be gone by then.
        setImmediate(() => {
          if (member.topics.get(topic) === subscriber)
            subscriber.handler({ data, from: me.id, forwarder: me.id })
        })
      }
    },
    subscribe(topic, handler, { accept = () => true } = {}) {
      if (me.topics.has(topic)) throw failure(`${topic} has a subscriber already`, 'NET_ALREADY_SUBSCRIBED')
      me.topics.set(topic, { handler, accept })
      return { [Symbol.dispose]: () => void me.topics.delete(topic) }
    },
    rpc: createFakeRpc(me, reach),
    serve(handlers, isTrusted) {
      if (me.served !== undefined) throw failure('this network serves already', 'NET_ALREADY_SERVING')
      me.served = { handlers, isTrusted }
    },
    async exchange(blocks) {
      me.blocks = blocks
      return createExchange(world, me)
    },
    async [Symbol.asyncDispose]() {
      me.online = false
      me.topics.clear()
      me.connections.clear()
      tell(world)
    },
  }
}

function createExchange(world: World, me: FakeMember): Bitswap {
  const closed = new AbortController()
  let wantsPending = 0
  let blocksReceived = 0
  let bytesReceived = 0
  const ask = async (cid: CID) => {
    for (const { blocks } of neighbours(me)) {
      const data = await blocks?.get(cid)
      if (data !== undefined) return data
    }
    return undefined
  }
  const get = async (cid: CID, { signal }: WantOptions = {}) => {
    const either = signal === undefined ? closed.signal : AbortSignal.any([signal, closed.signal])
    wantsPending++
    try {
      while (true) {
        either.throwIfAborted()
        // Listening before asking, so that a block which comes meanwhile is not missed.
        const heard = Promise.withResolvers<void>()
        const listener = () => heard.resolve()
        world.news.addEventListener('blocks', listener, { once: true })
        try {
          const data = await ask(cid)
          if (data === undefined) await raceSignal(heard.promise, either)
          else {
            blocksReceived++
            bytesReceived += data.length
            return data
          }
        } finally {
          world.news.removeEventListener('blocks', listener)
        }
      }
    } finally {
      wantsPending--
    }
  }
  return {
    get,
    session({ signal } = {}) {
      const over = new AbortController()
      const signals = (options: AbortOptions) =>
        [over.signal, signal, options.signal].filter(s => s !== undefined)
      return {
        get: (cid, options = {}) => get(cid, { signal: AbortSignal.any(signals(options)) }),
        addProviders: () => undefined,
        [Symbol.dispose]: () => over.abort(new DOMException('the session is over', 'AbortError')),
      }
    },
    notify: () => tell(world),
    stats: () => ({
      blocksReceived,
      bytesReceived,
      blocksSent: 0,
      bytesSent: 0,
      duplicateBlocks: 0,
      wantsPending,
      peerWants: 0,
    }),
    async [Symbol.asyncDispose]() {
      me.blocks = undefined
      closed.abort(new DOMException('the exchange is stopped', 'AbortError'))
    },
  }
}

function link(world: World, a: FakeMember, b: FakeMember): void {
  if (a.connections.has(b)) return
  a.connections.add(b)
  b.connections.add(a)
  tell(world)
}

function neighbours(me: FakeMember): FakeMember[] {
  return me.online ? [...me.connections].filter(({ online }) => online) : []
}

function tell(world: World): void {
  world.news.dispatchEvent(new Event('blocks'))
}

function peerIdOf(address: string): string {
  return /\/p2p\/([^/]+)$/.exec(address)?.[1] ?? ''
}

function unreachable(peer: string): CodedError<Failure> {
  return failure(`cannot reach ${peer}`, 'NET_UNREACHABLE')
}

function failure(message: string, code: Failure['code']): CodedError<Failure> {
  return new CodedError(message, { code })
}
