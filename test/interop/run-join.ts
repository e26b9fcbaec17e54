/**
 * How long a fresh peer takes to get the pinset: `node test/interop/run-join.ts --source go --fresh ts --pins 50000 --batch 500`; without `--batch`
 * every pin is a DAG node of its own. Each run starts from nothing; the IPFS daemons are fakes that pin at once.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createFakeKubo, waitFor } from '@ipfs-cluster/testkit'
import { freshCid } from './load.ts'
import { LOOPBACK, preparePeer, type InteropPeer, type Kind } from './peers.ts'
import { stablePorts } from './ports.ts'

const { values } = parseArgs({
  options: {
    source: { type: 'string', default: 'go' },
    fresh: { type: 'string', default: 'ts' },
    pins: { type: 'string', default: '5000' },
    batch: { type: 'string', default: '0' },
    runs: { type: 'string', default: '1' },
  },
})
const pins = Number(values.pins)
const batch = Number(values.batch)
const FILL_TIMEOUT_MS = 600_000
const JOIN_TIMEOUT_MS = 600_000

await using stack = new AsyncDisposableStack()
const folder = await mkdtemp(join(tmpdir(), 'join-'))
stack.defer(() => rm(folder, { recursive: true, force: true }))
const secret = randomBytes(32).toString('hex')

const source = await prepare(values.source as Kind, 'source')
await source.start()
const cids = Array.from({ length: pins }, freshCid)
await fill(source, cids)
for (let run = 1; run <= Number(values.runs); run++) {
  const fresh = await prepare(values.fresh as Kind, `fresh${run}`)
  const start = performance.now()
  const seconds = () => ((performance.now() - start) / 1000).toFixed(1)
  await fresh.start(['--bootstrap', source.swarm])
  const ready = seconds()
  const options = { timeoutMs: JOIN_TIMEOUT_MS, intervalMs: 50 }
  // Newest nodes come first, the first pin last.
  await waitFor(() => has(fresh, cids.at(-1)), { ...options, what: 'the first head' })
  const head = seconds()
  await waitFor(() => has(fresh, cids[0]), { ...options, what: 'the oldest pin' })
  await waitFor(async () => (await fresh.list('/allocations')).length === pins, {
    ...options,
    intervalMs: 300,
  })
  console.log(
    `${values.fresh} joins ${values.source}, ${pins} pins, batch ${batch}: ready ${ready} s, head ${head} s, whole ${seconds()} s`,
  )
  await fresh.stop()
}

async function prepare(kind: Kind, name: string): Promise<InteropPeer> {
  const kubo = stack.use(await createFakeKubo())
  const [swarmPort = 0, restPort = 0] = await stablePorts(2)
  return stack.use(
    await preparePeer({
      kind,
      name,
      folder: join(folder, name),
      place: LOOPBACK,
      swarmPort,
      restPort,
      secret,
      kuboApi: kubo.api,
      edit: config => {
        if (batch > 0) config.consensus.crdt.batching = { max_batch_size: batch, max_batch_age: '2s' }
      },
    }),
  )
}

async function has(peer: InteropPeer, cid: string | undefined): Promise<boolean> {
  const response = await fetch(`${peer.rest}/allocations/${cid}`)
  await response.arrayBuffer()
  return response.status === 200
}

/** One after the other where every pin is to be a node: parallel writes would branch or share one. */
async function fill(peer: InteropPeer, all: readonly string[]): Promise<void> {
  let next = 0
  const worker = async () => {
    while (next < all.length) await peer.request('POST', `/pins/${all[next++]}`)
  }
  await Promise.all(Array.from({ length: batch > 0 ? 32 : 1 }, worker))
  await waitFor(async () => (await peer.list('/allocations')).length === all.length, {
    timeoutMs: FILL_TIMEOUT_MS,
    intervalMs: 1000,
    what: 'the source has all pins',
  })
}
