/**
 * Round trips of `Cluster.Version` a second between processes, with the private network: `node test/interop/run-rpc.ts`. From us to a TypeScript peer on
 * both protocols, from us to a Go peer, and through a Go peer to a TypeScript one (a status that only the latter can answer).
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createFakeKubo, waitFor } from '@ipfs-cluster/testkit'
import { silentLogger, systemClock, systemRandom } from '@ipfs-cluster/base'
import type { UnaryMethod } from '@ipfs-cluster/gorpc'
import { createIdentity } from '../../packages/peer/src/identity/index.ts'
import { createNetwork, defaultNetworkConfig, RPC } from '../../packages/peer/src/net/index.ts'
import { freshCid } from './load.ts'
import { seesAll } from './mixed.ts'
import { LOOPBACK, preparePeer, type InteropPeer, type Kind } from './peers.ts'
import { stablePorts } from './ports.ts'

const CALLS = 4_000
const STATUS_CALLS = 2_000

await using stack = new AsyncDisposableStack()
const folder = await mkdtemp(join(tmpdir(), 'rpc-'))
stack.defer(() => rm(folder, { recursive: true, force: true }))
const secret = randomBytes(32)
const go = await start('go')
const ts = await start('ts', [go.swarm])
await Promise.all([go, ts].map(peer => seesAll(peer, [go, ts], 60_000)))

await using network = await createNetwork(
  { identity: await createIdentity(), clock: systemClock, random: systemRandom, logger: silentLogger },
  {
    ...defaultNetworkConfig,
    listen: ['/ip4/127.0.0.1/tcp/0'],
    mdns: false,
    secret,
    peerstorePath: join(folder, 'peerstore'),
  },
)
await network.connect(go.swarm)
await network.connect(ts.swarm)
/** A reply that may be large keeps a stream of its own: the Go protocol. */
const streamed: UnaryMethod<object, unknown> = {
  ...RPC.Cluster.Version,
  maxReplyBytes: 16 * 1024 * 1024,
} as never
for (const callers of [1, 32]) {
  await measure(
    `TypeScript to TypeScript, one stream for all calls, ${callers} at a time`,
    CALLS,
    callers,
    () => network.rpc.call(ts.id, RPC.Cluster.Version, {}),
  )
  await measure(`TypeScript to TypeScript, Go protocol, ${callers} at a time`, CALLS, callers, () =>
    network.rpc.call(ts.id, streamed, {}),
  )
  await measure(`TypeScript to Go, ${callers} at a time`, CALLS, callers, () =>
    network.rpc.call(go.id, RPC.Cluster.Version, {}),
  )
}
const cid = freshCid()
await go.request('POST', `/pins/${cid}?replication-min=1&replication-max=1&user-allocations=${ts.id}`)
await waitFor(async () => (await ts.json(`/pins/${cid}`)).peer_map[ts.id].status === 'pinned')
for (const callers of [1, 32]) {
  await measure(`Go to TypeScript, by status over REST, ${callers} at a time`, STATUS_CALLS, callers, () =>
    go.json(`/pins/${cid}`),
  )
}

async function start(kind: Kind, bootstrap: readonly string[] = []): Promise<InteropPeer> {
  const kubo = stack.use(await createFakeKubo())
  const [swarmPort = 0, restPort = 0] = await stablePorts(2)
  const peer = stack.use(
    await preparePeer({
      kind,
      name: kind,
      folder: join(folder, kind),
      place: LOOPBACK,
      swarmPort,
      restPort,
      secret: secret.toString('hex'),
      kuboApi: kubo.api,
    }),
  )
  await peer.start(bootstrap.length === 0 ? [] : ['--bootstrap', bootstrap.join(',')])
  return peer
}

async function measure(
  what: string,
  count: number,
  callers: number,
  call: () => Promise<unknown>,
): Promise<void> {
  const run = async (calls: number) => {
    const caller = async () => {
      for (let i = 0; i < calls / callers; i++) await call()
    }
    await Promise.all(Array.from({ length: callers }, caller))
  }
  await run(count / 4)
  const start = performance.now()
  await run(count)
  console.log(`${what}: ${Math.round((1000 * count) / (performance.now() - start))}/s`)
}
