/**
 * `node test/durability/run-overload.ts [--requests 120000] [--connections 512] [--peers 3]`: more pins at once than a cluster can write. Every request is
 * answered 200, or 429 with Retry-After; every 200 is in the pinset of all peers. With IPFS_CLUSTER_GO_BIN what Go's peers do beside it.
 */
import { parseArgs } from 'node:util'
import { waitFor } from '@ipfs-cluster/testkit'
import { pinPath, startBed } from '../bench/bed.ts'
import { load, percentile } from '../bench/http-load.ts'
import { goBinary, type InteropPeer, type Kind } from '../interop/peers.ts'

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '120000' },
    connections: { type: 'string', default: '512' },
    peers: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
  },
})
const requests = Number(values.requests)
const count = Number(values.peers)
const SETTLE_TIMEOUT_MS = 600_000

let isWell = true
for (const kind of (goBinary === undefined ? ['ts'] : ['ts', 'go']) as Kind[]) {
  if (values.only !== '' && values.only !== kind) continue
  await using bed = await startBed({ kind, peers: count, batching: true })
  const accepted = new Set<string>()
  const answered = (path: string, status: number) =>
    void (status === 200 && accepted.add(path.slice('/pins/'.length)))
  const connections = Math.ceil(Number(values.connections) / count)
  const results = await Promise.all(
    bed.peers.map((peer, index) => load(peer.rest, paths(index), { connections, method: 'POST', answered })),
  )
  const answers: Record<string, number> = {}
  for (const result of results) {
    for (const [status, number] of Object.entries(result.answers))
      answers[status] = (answers[status] ?? 0) + number
  }
  const missing = await missingAfterAWhile(bed.peers, accepted)
  const p99 = Math.max(...results.map(result => percentile(result, 0.99)))
  const seconds = Math.max(...results.map(result => result.seconds))
  console.log(
    `${kind}: answers ${JSON.stringify(answers)} in ${seconds.toFixed(1)} s, p99 ${p99.toFixed(0)} ms; accepted and missing on some peer: ${missing}`,
  )
  if (kind === 'ts')
    isWell = missing === 0 && Object.keys(answers).every(status => status === '200' || status === '429')
}
process.exit(isWell ? 0 : 1)

function* paths(peer: number): Generator<string> {
  for (let index = 0; index < requests / count; index++) yield pinPath(`overload ${peer}`, index)
}

async function missingAfterAWhile(
  peers: readonly InteropPeer[],
  accepted: ReadonlySet<string>,
): Promise<number> {
  let missing = accepted.size
  const look = async () => {
    const listed = await Promise.all(
      peers.map(async peer => new Set((await peer.list('/allocations')).map(({ cid }) => cid))),
    )
    missing = [...accepted].filter(cid => !listed.every(each => each.has(cid))).length
    return missing === 0
  }
  await waitFor(look, { timeoutMs: SETTLE_TIMEOUT_MS, intervalMs: 2_000 }).catch(() => undefined)
  return missing
}
