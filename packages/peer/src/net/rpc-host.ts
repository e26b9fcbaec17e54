import type { Libp2p } from '@libp2p/interface'
import {
  createRpcClient,
  createRpcServer,
  methodName,
  RPC_PROTOCOL,
  type RpcClient,
  type RpcServer,
} from '@ipfs-cluster/gorpc'
import type { Clock, Logger } from '@ipfs-cluster/base'
import type { PeerId } from '@ipfs-cluster/api'
import { MAX_PROTOCOL_STREAMS, type Dialer } from './dialer.ts'
import { NetworkError } from './errors.ts'
import { RPC_METHODS } from './rpc/index.ts'
import type { Network } from './types.ts'

export interface RpcHost extends AsyncDisposable {
  readonly client: RpcClient
  readonly serve: Network['serve']
}

/**
 * RPC on this host. Answers from the start: until `serve`, with gorpc's "can't find service", which callers may retry, where a
 * refused protocol would be remembered.
 */
export async function createRpcHost(components: {
  readonly libp2p: Libp2p
  readonly dialer: Dialer
  readonly clock: Clock
  readonly logger: Logger
}): Promise<RpcHost> {
  const { libp2p, dialer, clock, logger } = components
  const before = createRpcServer({ handlers: [], authorize: () => false, clock, logger })
  let serving: RpcServer | undefined
  const server = () => serving ?? before
  await libp2p.handle(
    RPC_PROTOCOL,
    (stream, connection) => {
      // In the same turn: what has arrived on the stream is told only once. Never rejects.
      void server().handleStream(stream, connection.remotePeer.toString())
    },
    { maxInboundStreams: MAX_PROTOCOL_STREAMS, maxOutboundStreams: MAX_PROTOCOL_STREAMS },
  )
  return {
    client: createRpcClient({
      selfId: libp2p.peerId.toString(),
      localHandler: name => server().handler(name),
      openStream: (peer, options) => dialer.openStream(peer, RPC_PROTOCOL, options),
      clock,
      logger,
    }),
    serve(handlers, isTrusted) {
      if (serving !== undefined) {
        throw new NetworkError('this network serves its RPC methods already', { code: 'NET_ALREADY_SERVING' })
      }
      const authorize = (peer: PeerId, { policy }: { readonly policy: string }) =>
        policy === 'open' || (policy === 'trusted' && isTrusted(peer))
      const names = new Set(handlers.map(({ method }) => methodName(method)))
      // Go knows these too, and tells others that they are not for them.
      const unserved = RPC_METHODS.filter(method => !names.has(methodName(method)))
      serving = createRpcServer({ handlers, unserved, authorize, clock, logger })
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([before[Symbol.asyncDispose](), serving?.[Symbol.asyncDispose]()])
    },
  }
}
