/** The IPFS daemon of a peer: Kubo beside it, or the built-in node. For `peer.ts`. */
import type { Clock, Logger, MeterRegistry, Random, TraceHeaders } from '@ipfs-cluster/base'
import type { PeerConfig } from './config/index.ts'
import { createHttpServer, uploadParts, type HttpHandler } from './http/common/index.ts'
import { createEmbeddedConnector, createKuboConnector, type IpfsConnector } from './ipfsconn/index.ts'

const RPC_KEY = 'embedded.rpc_listen_multiaddress'
/** As the IPFS proxy has them without any in its section: adds and imports may take hours. */
const RPC_TIMEOUTS = {
  readTimeoutMs: 0,
  readHeaderTimeoutMs: 5_000,
  writeTimeoutMs: 0,
  idleTimeoutMs: 60_000,
  maxHeaderBytes: 4096,
}

export interface IpfsParts {
  readonly clock: Clock
  readonly random: Random
  readonly meter: MeterRegistry
  readonly logger: Logger
  readonly trace?: () => TraceHeaders | undefined
}

export interface StartedIpfs {
  readonly daemon: IpfsConnector
  readonly gatewayUrl: string | undefined
  /** Kubo's RPC of the built-in node. */
  readonly rpc?: HttpHandler
  /** Of the built-in node: gives back memory that only serves speed. */
  returnMemory?(): Promise<boolean>
}

/** Starts what the configuration names: the connection to Kubo, or the built-in node. */
export async function startIpfs(
  config: PeerConfig,
  { clock, random, meter, logger, ...tracing }: IpfsParts,
  stack: AsyncDisposableStack,
): Promise<StartedIpfs> {
  const choice = config.ipfs
  if (choice.kind === 'ipfshttp') {
    const components = { clock, meter, logger: logger.child('ipfshttp'), ...tracing }
    const kubo = createKuboConnector(components, choice.config)
    return { daemon: stack.use(kubo), gatewayUrl: undefined }
  }
  // Beside Kubo none of it is needed.
  const { createIpfsNode, createKuboRpc } = await import('@ipfs-cluster/ipfs')
  const node = stack.use(await createIpfsNode({ clock, random, logger: logger.child('ipfs') }, choice.config))
  const rpc = createKuboRpc({ node, uploads: uploadParts, clock, logger: logger.child('ipfs') })
  const { rpcListen = [] } = choice.config
  if (rpcListen.length > 0) {
    const parts = { handle: rpc, clock, logger: logger.child('ipfs') }
    const { urls } = stack.use(
      await createHttpServer(parts, { ...RPC_TIMEOUTS, listen: rpcListen, configKey: RPC_KEY }),
    )
    for (const url of urls) parts.logger.info({ url }, 'RPC of the IPFS node, past the cluster')
  }
  const components = { node, clock, meter, logger: logger.child('ipfshttp') }
  const embedded = createEmbeddedConnector(components, choice.config)
  const returnMemory = () => node.returnMemory()
  return { daemon: stack.use(embedded), gatewayUrl: node.gatewayUrl, rpc, returnMemory }
}
