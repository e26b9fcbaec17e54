/**
 * A cluster peer inside your own program: starts one with a built-in IPFS node in a folder, adds a text, waits until it is pinned, and reads
 * it back through the gateway.
 *
 *   node packages/peer/examples/library.ts ./example-data
 */
import { join, resolve } from 'node:path'
import { DEFAULT_ADD_PARAMS, TRACKER_STATUS } from '@ipfs-cluster/api'
import { systemRandom } from '@ipfs-cluster/base'
import { createClusterPeer, createIdentity, initialConfig, toPeerConfig } from '@ipfs-cluster/peer'

const folder = resolve(process.argv[2] ?? 'example-data')

// The same tables as `service.json`, so every key of it can be set here.
const service = initialConfig({
  consensus: 'crdt',
  datastore: 'pebble',
  ipfs: 'embedded',
  peername: 'example',
  secret: systemRandom.bytes(32),
})
const config = toPeerConfig(service, folder)

await using peer = await createClusterPeer({
  ...config,
  identity: await createIdentity(),
  network: { ...config.network, listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false },
  ipfs: {
    kind: 'embedded',
    config: {
      path: join(folder, 'ipfs'),
      listen: ['/ip4/127.0.0.1/tcp/0'],
      gateway: '/ip4/127.0.0.1/tcp/0',
      bootstrap: [],
      storageMax: 1_000_000_000,
      routing: 'none',
      delegatedRouting: [],
      gatewayFetch: true,
      pinTimeoutMs: 60_000,
      unpinDisable: false,
    },
  },
  restapi: undefined,
  pinsvcapi: undefined,
})
await peer.cluster.ready
console.log(`peer ${peer.id} listens on ${peer.addresses.join(', ')}`)

async function* text() {
  yield new TextEncoder().encode('Hello from a cluster peer inside a program.\n')
}

async function* parts() {
  yield { path: 'hello.txt', kind: 'file' as const, content: text() }
}

// The last output is the root; it is pinned when the outputs have ended.
const outputs = await Array.fromAsync(peer.cluster.add(parts(), DEFAULT_ADD_PARAMS))
const root = outputs.at(-1)?.cid
if (root === null || root === undefined) throw new Error('nothing was added')
console.log(`added ${root}`)

while ((await peer.cluster.status(root)).peerMap[peer.id]?.status !== TRACKER_STATUS.pinned) {
  await new Promise(done => setTimeout(done, 50))
}
const response = await fetch(`${peer.gatewayUrl}/ipfs/${root}`)
console.log(`the gateway says: ${(await response.text()).trim()}`)
