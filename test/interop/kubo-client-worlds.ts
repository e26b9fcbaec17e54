/** The two daemons that an IPFS proxy may stand before, each with a peer of one process, for `kubo-rpc-client` and `ipfs --api`. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger, systemClock, systemRandom } from '@ipfs-cluster/base'
import { createIpfsNode, defaultIpfsNodeConfig } from '@ipfs-cluster/ipfs'
import {
  createClusterPeer,
  createIdentity,
  initialConfig,
  toPeerConfig,
  type ClusterPeer,
} from '@ipfs-cluster/peer'
import { kuboBinary, startRealKubo } from '@ipfs-cluster/testkit'
import { create } from 'kubo-rpc-client'
import type { ProxyWorld } from './kubo-client-checks.ts'

export type Daemon = 'kubo' | 'built-in'

/** What keeps a daemon from being tried here. */
export const skipReason = (daemon: Daemon): string | false =>
  daemon === 'kubo' && kuboBinary === undefined ? 'KUBO_BIN does not name a Kubo binary' : false

export interface RunningWorld extends ProxyWorld, AsyncDisposable {
  readonly peer: ClusterPeer
  /** `http://127.0.0.1:port` */
  readonly proxyUrl: string
  readonly folder: string
}

const ANY_PORT = ['/ip4/127.0.0.1/tcp/0']

export async function startWorld(daemon: Daemon): Promise<RunningWorld> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'proxy-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const other = stack.use(
    await createIpfsNode(
      { clock: systemClock, random: systemRandom, logger: silentLogger },
      { ...defaultIpfsNodeConfig, path: join(folder, 'other'), listen: ANY_PORT },
    ),
  )
  const kubo = daemon === 'kubo' ? stack.use(await startRealKubo(kuboBinary as string)) : undefined
  const service = initialConfig({
    consensus: 'crdt',
    datastore: 'pebble',
    ipfs: kubo === undefined ? 'embedded' : 'ipfshttp',
    peername: 'here',
    secret: systemRandom.bytes(32),
  })
  const {
    ipfsproxy,
    restapi,
    ipfs,
    pinsvcapi: _none,
    ...config
  } = toPeerConfig(service, join(folder, 'peer'))
  assert.ok(ipfsproxy && restapi)
  await mkdir(join(folder, 'peer'))
  const peer = stack.use(
    await createClusterPeer({
      ...config,
      identity: await createIdentity(),
      network: { ...config.network, listen: ANY_PORT, mdns: false },
      ipfs:
        ipfs.kind === 'ipfshttp'
          ? { kind: 'ipfshttp', config: { ...ipfs.config, nodeMultiaddress: kubo?.api ?? '' } }
          : {
              kind: 'embedded',
              config: { ...ipfs.config, listen: ANY_PORT, gateway: ANY_PORT[0] as string },
            },
      restapi: { ...restapi, listen: ANY_PORT },
      ipfsproxy: { ...ipfsproxy, listen: ANY_PORT, ...(kubo && { nodeMultiaddress: kubo.api }) },
    }),
  )
  await peer.cluster.ready
  const proxyUrl = peer.proxyUrls[0] as string
  const { ipfs: self } = await peer.cluster.id()
  const owned = stack.move()
  return {
    client: create({ url: proxyUrl }),
    other: other.addresses()[0] as string,
    daemonId: self.id,
    peer,
    proxyUrl,
    folder,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
