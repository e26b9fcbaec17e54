/** The config folders of the peers: made at the first start, found again at the next. */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import {
  createIdentity,
  initialConfig,
  loadIdentity,
  loadServiceConfig,
  saveIdentity,
  saveServiceConfig,
  type ServiceConfig,
} from '@ipfs-cluster/peer'
import { systemClock } from '@ipfs-cluster/base'
import { freePorts } from '../../packages/peer/src/bin/ports.ts'

export interface PeerFolder {
  readonly name: string
  readonly folder: string
  readonly id: string
  readonly restUrl: string
  readonly gatewayUrl: string
  /** Bytes that the peer's IPFS node may store. */
  readonly storageMax: number
}

/** Each on loopback: this is a demonstration, not a deployment. */
const STORAGE_MAX = 100_000_000_000
/** Short, so that the table lives. */
const METRIC_TTL_MS = 4_000
const PING_INTERVAL_MS = 2_000
const WATCH_INTERVAL_MS = 500

export async function preparePeers(data: string, count: number): Promise<PeerFolder[]> {
  const first = join(data, 'peer1')
  if (existsSync(join(first, 'service.json'))) return await findPeers(data, count)
  const identities = await Promise.all(Array.from({ length: count }, createIdentity))
  const ports = await freePorts(count * 4)
  const secret = randomBytes(32)
  const swarm = (index: number) => `/ip4/127.0.0.1/tcp/${ports[index * 4]}/p2p/${identities[index]?.id}`
  for (const [index, identity] of identities.entries()) {
    const folder = join(data, `peer${index + 1}`)
    const others = identities.map((_, other) => swarm(other)).filter((_, other) => other !== index)
    await saveServiceConfig(
      folder,
      peerConfig(`peer${index + 1}`, secret, ports.slice(index * 4, index * 4 + 4), others),
    )
    await saveIdentity(folder, identity)
  }
  return await findPeers(data, count)
}

async function findPeers(data: string, count: number): Promise<PeerFolder[]> {
  const peers: PeerFolder[] = []
  for (let index = 1; existsSync(join(data, `peer${index}`, 'service.json')); index++) {
    const folder = join(data, `peer${index}`)
    const config = await loadServiceConfig(folder, { env: {}, hostname: `peer${index}`, clock: systemClock })
    const { id } = await loadIdentity(folder)
    const { restapi } = config.api
    const { embedded } = config.ipfs_connector
    if (restapi === undefined || embedded === undefined) {
      throw new Error(`${folder} was not made by npm start: it has no REST API or no built-in IPFS node`)
    }
    peers.push({
      name: config.cluster.peername,
      folder,
      id,
      restUrl: httpUrl(restapi.http_listen_multiaddress[0] ?? ''),
      gatewayUrl: httpUrl(embedded.gateway_listen_multiaddress),
      storageMax: embedded.storage_max,
    })
  }
  if (peers.length !== count) {
    throw new Error(
      `${data} holds a cluster of ${peers.length} peers, not ${count}; use --peers ${peers.length} or another --data`,
    )
  }
  return peers
}

function peerConfig(
  name: string,
  secret: Uint8Array,
  [swarm, rest, ipfs, gateway]: readonly number[],
  others: readonly string[],
): ServiceConfig {
  const config = initialConfig({
    consensus: 'crdt',
    datastore: 'pebble',
    ipfs: 'embedded',
    peername: name,
    secret,
  })
  const { embedded } = config.ipfs_connector
  const { restapi } = config.api
  if (embedded === undefined || restapi === undefined)
    throw new Error('invariant broken: the initial configuration is not whole')
  return {
    ...config,
    cluster: {
      ...config.cluster,
      listen_multiaddress: [`/ip4/127.0.0.1/tcp/${swarm}`],
      peer_addresses: others,
      mdns_interval: 0,
      monitor_ping_interval: PING_INTERVAL_MS,
      peer_watch_interval: WATCH_INTERVAL_MS,
      disable_repinning: false,
    },
    api: { restapi: { ...restapi, http_listen_multiaddress: [`/ip4/127.0.0.1/tcp/${rest}`] } },
    ipfs_connector: {
      embedded: {
        ...embedded,
        swarm_listen_multiaddress: [`/ip4/127.0.0.1/tcp/${ipfs}`],
        gateway_listen_multiaddress: `/ip4/127.0.0.1/tcp/${gateway}`,
        storage_max: STORAGE_MAX,
        connect_swarms_delay: 500,
      },
    },
    informer: {
      disk: { metric_ttl: METRIC_TTL_MS, metric_type: 'freespace' },
      tags: { metric_ttl: METRIC_TTL_MS, tags: { group: 'default' } },
    },
    pin_tracker: config.pin_tracker,
  }
}

function httpUrl(address: string): string {
  const match = /^\/ip4\/([\d.]+)\/tcp\/(\d+)$/.exec(address)
  if (match === null) throw new Error(`cannot make a URL of ${JSON.stringify(address)}`)
  return `http://${match[1]}:${match[2]}`
}
