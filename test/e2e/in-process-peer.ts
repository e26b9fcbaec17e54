/** A peer inside the test's own process, with a built-in IPFS node, on free ports of loopback. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemRandom } from '@ipfs-cluster/base'
import {
  createClusterPeer,
  createIdentity,
  initialConfig,
  toPeerConfig,
  type ClusterPeer,
} from '@ipfs-cluster/peer'

export interface InProcessPeer extends AsyncDisposable {
  readonly peer: ClusterPeer
  /** `http://127.0.0.1:<port>` of the REST API. */
  readonly url: string
}

const ANY_PORT = ['/ip4/127.0.0.1/tcp/0']

/** @param credentials of the REST API: passwords by user. */
export async function startInProcessPeer(
  credentials: Readonly<Record<string, string>> | null = null,
): Promise<InProcessPeer> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'in-process-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const service = initialConfig({
    consensus: 'crdt',
    datastore: 'pebble',
    ipfs: 'embedded',
    peername: 'here',
    secret: systemRandom.bytes(32),
  })
  const config = toPeerConfig(service, folder)
  const { ipfs, restapi, ipfsproxy } = config
  if (ipfs.kind !== 'embedded' || restapi === undefined) throw new Error('not what was configured')
  const peer = await createClusterPeer({
    ...config,
    identity: await createIdentity(),
    network: { ...config.network, listen: ANY_PORT, mdns: false },
    ipfs: { kind: 'embedded', config: { ...ipfs.config, listen: ANY_PORT, gateway: ANY_PORT[0] as string } },
    restapi: { ...restapi, listen: ANY_PORT, credentials },
    pinsvcapi: config.pinsvcapi && { ...config.pinsvcapi, listen: ANY_PORT, credentials },
    ...(ipfsproxy && { ipfsproxy: { ...ipfsproxy, listen: ANY_PORT } }),
  })
  stack.use(peer)
  await peer.cluster.ready
  const owned = stack.move()
  return { peer, url: peer.restUrls[0] as string, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
