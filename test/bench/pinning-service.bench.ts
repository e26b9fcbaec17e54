/**
 * What `GET /pins` of a whole peer costs: `node test/bench/pinning-service.bench.ts [PINS]`. Medians in milliseconds, with the processor's
 * time of the process beside them.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DEFAULT_PIN_OPTIONS } from '@ipfs-cluster/api'
import { systemClock, systemRandom } from '@ipfs-cluster/base'
import {
  createClusterPeer,
  createIdentity,
  initialConfig,
  toPeerConfig,
  type ClusterPeerOverrides,
} from '@ipfs-cluster/peer'
import { cidOf } from '../../packages/peer/src/http/pinsvc/test-service.ts'

const PINS = Number(process.argv[2] ?? '100000')
const GROUP = 2_000
const ROUNDS = 21
/** Of these, the newest, nothing is found. */
const WAITING = 12_000
const ANY_PORT = ['/ip4/127.0.0.1/tcp/0']

const unused = () => Promise.reject(new Error('of no use here'))
const never = ({ signal }: { readonly signal?: AbortSignal | undefined } = {}) =>
  new Promise<never>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
let isFound = true
const ipfs: NonNullable<ClusterPeerOverrides['ipfs']> = {
  id: () => Promise.resolve({ id: '', addresses: [], error: '' }),
  pin: (_pin, options) => (isFound ? Promise.resolve(undefined as never) : never(options)),
  unpin: () => Promise.resolve(),
  async *pinLs() {},
  pinLsCid: () => Promise.resolve('unpinned'),
  repoStat: () => Promise.resolve({ repoSize: 0n, storageMax: 10n ** 13n }),
  async *repoGC() {},
  resolve: unused,
  swarmPeers: () => Promise.resolve([]),
  swarmConnect: () => Promise.resolve(),
  blockStream: unused,
  blockGet: unused,
  async *dagBlocks() {},
  [Symbol.asyncDispose]: () => Promise.resolve(),
}

await using stack = new AsyncDisposableStack()
const folder = await mkdtemp(join(tmpdir(), 'pinsvc-bench-'))
stack.defer(() => rm(folder, { recursive: true, force: true }))
const service = initialConfig({
  consensus: 'crdt',
  datastore: 'pebble',
  ipfs: 'embedded',
  peername: 'bench',
  secret: systemRandom.bytes(32),
})
const config = toPeerConfig(service, folder)
const peer = stack.use(
  await createClusterPeer(
    {
      ...config,
      identity: await createIdentity(),
      network: { ...config.network, listen: ANY_PORT, mdns: false },
      restapi: undefined,
      pinsvcapi: config.pinsvcapi && { ...config.pinsvcapi, listen: ANY_PORT },
    },
    { ipfs },
  ),
)
const url = peer.pinningUrls[0] ?? ''

async function* groups(from: number, to: number) {
  for (let n = from; n < to; n += GROUP) {
    yield Array.from({ length: Math.min(GROUP, to - n) }, (_, i) => ({
      cid: cidOf(n + i),
      options: { ...DEFAULT_PIN_OPTIONS, name: `name ${n + i}`, metadata: { app: `${(n + i) % 10}` } },
    }))
  }
}

async function pinAll(from: number, to: number): Promise<void> {
  for await (const outcomes of peer.cluster.pinMany(groups(from, to))) {
    const failure = outcomes.find(each => each !== undefined)
    if (failure !== undefined) throw failure
  }
}

interface List {
  readonly count: number
  readonly results: readonly { readonly created: string }[]
}

const get = async (query: string) => (await (await fetch(`${url}/pins?${query}`)).json()) as List

async function measure(what: string, query: string): Promise<void> {
  const list = await get(query)
  const cpu = process.cpuUsage()
  const times: number[] = []
  for (let i = 0; i < ROUNDS; i++) {
    const start = systemClock.monotonic()
    await get(query)
    times.push(systemClock.monotonic() - start)
  }
  const { user, system } = process.cpuUsage(cpu)
  const median = times.toSorted((a, b) => a - b)[ROUNDS >> 1] ?? 0
  const perList = (user + system) / 1000 / ROUNDS
  console.log(
    `| ${what} | ${list.results.length} of ${list.count} | ${median.toFixed(1)} | ${perList.toFixed(1)} |`,
  )
}

await pinAll(0, PINS)
const isPinned = async () => (await get('status=queued,pinning,failed&limit=1')).count === 0
while (!(await isPinned())) await systemClock.sleep(500)
console.log(`${PINS} pins\n\n| list | found | ms | CPU ms |\n|---|---|---|---|`)
const page = await get('limit=1000')
const oldest = page.results.at(-1)?.created ?? ''
await measure('pinned', '')
await measure('pinned, a page further on', `before=${oldest}`)
await measure('pinned, limit 1000', 'limit=1000')
await measure('any status', 'status=queued,pinning,pinned,failed')
await measure('failed', 'status=failed')
await measure('exact name', `name=name%20${PINS >> 1}`)
await measure('part of a name', 'name=99&match=partial')
await measure('metadata', 'meta={"app":"3"}')
await measure('CIDs', `cid=${[1, 2, 3].map(n => cidOf(n).toString()).join()}`)
isFound = false
await pinAll(PINS, PINS + WAITING)
// All that the listing looks at before it turns to the newest pins.
while ((await get('status=queued,pinning&limit=1')).count < 10_000) await systemClock.sleep(500)
await measure(`queued, of ${WAITING} that wait`, 'status=queued,pinning')
await measure(`pinned, behind ${WAITING} that wait`, '')
