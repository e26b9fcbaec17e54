/**
 * The network between the halves of a mixed cluster is cut while both sides write, and healed: `node test/interop/run-cut.ts [SECONDS]`, 180 by
 * default. Needs root, for network namespaces. Prints how long the four peers take to agree.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { pinMany, unpinMany } from './load.ts'
import { converged, notable, startMixedCluster } from './mixed.ts'
import { createHalves } from './namespaces.ts'

const seconds = Number(process.argv[2] ?? '180')
const ROUNDS = 10

await using halves = await createHalves()
await using cluster = await startMixedCluster({ places: halves.places })
const { peers, go1, ts1, go2, ts2 } = cluster
try {
  const before = await pinMany(peers, 200)
  await converged(peers, { expected: 200 })
  await halves.cut()
  console.log(`cut for ${seconds} s`)
  let count = 200
  for (let round = 0; round < ROUNDS; round++) {
    await Promise.all([pinMany([go1, ts1], 20), pinMany([go2, ts2], 20)])
    await unpinMany([go1, ts1], before.slice(10 * round, 10 * round + 5))
    await unpinMany([go2, ts2], before.slice(10 * round + 5, 10 * round + 10))
    count += 30
    await delay((seconds * 1000) / ROUNDS)
  }
  await halves.heal()
  const { ms } = await converged(peers, { expected: count, timeoutMs: 300_000 })
  console.log(`healed: ${count} pins equal on all four after ${(ms / 1000).toFixed(1)} s`)
  const start = performance.now()
  await cluster.whole(300_000)
  console.log(`everybody sees everybody ${((performance.now() - start) / 1000).toFixed(1)} s later`)
} finally {
  for (const peer of peers) {
    const lines = notable(peer.log)
      .split('\n')
      .filter(line => /\bwarn|\berror/i.test(line))
    console.log(`--- ${peer.name}: ${lines.length} warnings\n${lines.slice(-8).join('\n').slice(0, 2400)}`)
  }
}
