/**
 * A mixed cluster under light load: `node test/interop/run-soak.ts [MINUTES]`, 60 by default. Every two minutes it prints what each peer holds: heap (after
 * a full collection) or resident memory, descriptors, connections, streams, heads, and what was refused; in the end the warnings of each.
 */
import { readdir, readFile } from 'node:fs/promises'
import { randomInt } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { inspectProcess } from '../soak/inspect.ts'
import { addFile, freshCid } from './load.ts'
import { converged, startMixedCluster } from './mixed.ts'
import type { InteropPeer } from './peers.ts'
import { stablePorts } from './ports.ts'
import { printWarnings } from './warnings.ts'

const minutes = Number(process.argv[2] ?? '60')
const SAMPLE_EVERY_MS = 120_000
const PAUSE_MS = 500
/** Pins kept at any time; beyond it the oldest is unpinned. */
const KEPT = 500

const metricsPorts = new Map<string, number>()
const [port1 = 0, port2 = 0] = await stablePorts(2)
metricsPorts.set('ts1', port1).set('ts2', port2)
process.env['NODE_OPTIONS'] = '--inspect=127.0.0.1:0'
await using cluster = await startMixedCluster({
  edit: (config, name) => {
    const port = metricsPorts.get(name)
    if (port === undefined) return
    config.observations.metrics = {
      enable_stats: true,
      prometheus_endpoint: `/ip4/127.0.0.1/tcp/${port}`,
      reporting_interval: '30s',
    }
  },
})
delete process.env['NODE_OPTIONS']
const { peers } = cluster
const kept: string[] = []
const counts = { pins: 0, adds: 0, unpins: 0, failures: 0 }
const end = Date.now() + minutes * 60_000
let nextSample = Date.now() + 30_000

while (Date.now() < end) {
  try {
    await step()
  } catch (error) {
    counts.failures++
    console.log(`failed: ${String(error).slice(0, 300)}`)
  }
  if (Date.now() >= nextSample) {
    await sample()
    nextSample += SAMPLE_EVERY_MS
  }
  await delay(PAUSE_MS)
}
const { pins, ms } = await converged(peers)
console.log(`in the end ${pins.length} pins, equal on all four after ${Math.round(ms)} ms`)
await sample()
for (const peer of peers) {
  const { code } = await peer.stop()
  console.log(`${peer.name} ended with ${code}`)
}
printWarnings(peers)

async function step(): Promise<void> {
  const peer = peers[randomInt(peers.length)] as InteropPeer
  if (randomInt(10) === 0) {
    kept.push(await addFile(peer, randomInt(1_000, 1_000_000), 'replication-min=2&replication-max=2'))
    counts.adds++
  } else {
    const cid = freshCid()
    await peer.request('POST', `/pins/${cid}?name=soak&replication-min=2&replication-max=3`)
    kept.push(cid)
    counts.pins++
  }
  const oldest = kept.length > KEPT ? kept.shift() : undefined
  if (oldest === undefined) return
  await (peers[randomInt(peers.length)] as InteropPeer).request('DELETE', `/pins/${oldest}`)
  counts.unpins++
}

async function sample(): Promise<void> {
  console.log(`${new Date().toISOString()} ${JSON.stringify(counts)}`)
  for (const peer of peers) {
    const descriptors = (await readdir(`/proc/${peer.pid}/fd`)).length
    const status = await readFile(`/proc/${peer.pid}/status`, 'utf8')
    const resident = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1000
    const port = metricsPorts.get(peer.name)
    const more = port === undefined ? '' : `, ${await ofTypescript(peer, port)}`
    console.log(`  ${peer.name}: resident ${resident.toFixed(0)} MB, descriptors ${descriptors}${more}`)
  }
}

async function ofTypescript(peer: InteropPeer, port: number): Promise<string> {
  const { heapUsed, handles } = await inspectProcess(peer.log)
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  const shown = metrics
    .split('\n')
    .filter(line =>
      /^ipfscluster_(crdt_heads|crdt_frontier|net_connections|net_streams|refused_total)/.test(line),
    )
    .map(line => line.replace('ipfscluster_', ''))
  const { Timeout = 0, TCPSocketWrap = 0 } = handles
  return `heap ${(heapUsed / 1e6).toFixed(1)} MB, timers ${Timeout}, sockets ${TCPSocketWrap}, ${shown.join(', ')}`
}
