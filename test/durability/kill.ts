/** `kill -9` again and again while pins and unpins come in at full speed, and what is left of them. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { errorMessage, seededRandom, type Random } from '@ipfs-cluster/base'
import { startProcess, waitFor } from '@ipfs-cluster/testkit'
import { completedPins, startBed, type Bed } from '../bench/bed.ts'
import { binaries, type InteropPeer, type Json } from '../interop/peers.ts'
import { stablePorts } from '../interop/ports.ts'
import { Expected } from './expected.ts'
import { createTraffic, type Mode, type Traffic } from './traffic.ts'

export interface KillOptions {
  readonly kills: number
  readonly mode: Mode
  readonly peers: number
  readonly seed: number
  /** Milliseconds of traffic before a kill, at least and at most. @default [100, 1_500] */
  readonly trafficMs?: readonly [number, number]
  /** One line a kill. */
  readonly log?: (line: string) => void
}

export interface KillReport {
  /** Answers that something is pinned or unpinned. */
  readonly acknowledged: number
  /** Acknowledged as pinned, and not there after the restart. */
  readonly missing: number
  /** Acknowledged as unpinned, and there after the restart. */
  readonly surplus: number
  /** Answers that were no success. */
  readonly refused: Readonly<Record<string, number>>
  /** Pins in the end: in the pinset of every peer, `pinned` in its table, and on its daemon. */
  readonly pins: number
  /** What every peer has, where it is not what it must be; empty when all is well. */
  readonly differences: readonly string[]
  /** Pins that a daemon was given although it had them, of all its pins. */
  readonly repeated: number
  readonly completed: number
  readonly killsDuringStart: number
}

const SETTLE_TIMEOUT_MS = 180_000
/** The chance that a peer is killed once more while it starts. */
const KILL_START = 0.4
const START_MS = 900
/** Of a peer's log, with an error. */
const LOG_CHARS = 3_000

export async function runKills(options: KillOptions): Promise<KillReport> {
  const { kills, mode, seed, log = () => undefined } = options
  const random = seededRandom(seed)
  const [least, most] = options.trafficMs ?? [100, 1_500]
  const metricPorts = await stablePorts(options.peers)
  let edited = 0
  await using bed = await startBed({
    kind: 'ts',
    peers: options.peers,
    batching: mode === 'batched',
    edit: config => hurry(config, metricPorts[edited++] as number),
  })
  const sides = bed.peers.map((peer, index) => {
    const expected = new Expected()
    return { peer, expected, traffic: createTraffic(`kill ${seed} ${index}`, mode, expected) }
  })
  let missing = 0
  let surplus = 0
  let killsDuringStart = 0
  for (let kill = 0; kill < kills; kill++) {
    const victim = sides[random.int(sides.length)] as (typeof sides)[number]
    await trafficUntilKill(sides, victim.peer, least + random.int(most - least))
    if (random.float() < KILL_START) {
      await killDuringStart(victim.peer, random)
      killsDuringStart++
    }
    const began = performance.now()
    await victim.peer.start()
    const startMs = performance.now() - began
    for (const { peer, expected } of sides) {
      const found = await pinset(peer)
      const { missing: lost, surplus: risen } = expected.compare(ownOnly(found, expected))
      missing += lost.length
      surplus += risen.length
      expected.settle(found)
    }
    const { acknowledged } = victim.expected
    log(
      `kill ${kill + 1}: ${victim.peer.name} had acknowledged ${acknowledged}, started in ${startMs.toFixed(0)} ms; of all: missing ${missing}, surplus ${surplus}`,
    )
  }
  const { pins, differences } = await settled(bed, sides)
  return {
    acknowledged: sides.reduce((sum, { expected }) => sum + expected.acknowledged, 0),
    missing,
    surplus,
    refused: allRefused(sides),
    pins,
    differences,
    repeated: await sum(bed, daemon => number(daemon, 'repeated')),
    completed: await sum(bed, completedPins),
    killsDuringStart,
  }
}

interface Side {
  readonly peer: InteropPeer
  readonly expected: Expected
  readonly traffic: Traffic
}

/** Timers that usually take minutes run during the test; counts are served. */
function hurry(config: Json, metricsPort: number): void {
  config.cluster.state_sync_interval = '1s'
  config.cluster.pin_recover_interval = '3s'
  config.observations.metrics = {
    ...config.observations.metrics,
    enable_stats: true,
    prometheus_endpoint: `/ip4/127.0.0.1/tcp/${metricsPort}`,
  }
}

async function trafficUntilKill(sides: readonly Side[], victim: InteropPeer, ms: number): Promise<void> {
  const stop = new AbortController()
  const runs = sides.map(async ({ peer, traffic }) => {
    try {
      await traffic.run(peer.rest, stop.signal)
    } catch (error) {
      if (peer !== victim) throw withLog(peer, error)
    }
  })
  await delay(ms)
  await victim.kill9()
  stop.abort()
  await Promise.all(runs)
}

async function killDuringStart(peer: InteropPeer, random: Random): Promise<void> {
  await using starting = await startProcess(binaries.ts, ['--config', peer.folder, 'daemon'])
  await delay(random.int(START_MS))
  starting.kill('SIGKILL')
  await starting.exited
}

async function pinset(peer: InteropPeer): Promise<Set<string>> {
  try {
    return new Set((await peer.list('/allocations')).map(({ cid }) => cid))
  } catch (error) {
    throw withLog(peer, error)
  }
}

function withLog(peer: InteropPeer, cause: unknown): Error {
  const text = `${peer.name}, which was not killed: ${errorMessage(cause)}; its log ends:\n${peer.log.slice(-LOG_CHARS)}`
  return new Error(text, { cause })
}

/** Of what a peer lists, that which it was itself asked for. */
function ownOnly(found: ReadonlySet<string>, expected: Expected): Set<string> {
  return new Set([...found].filter(cid => expected.knows(cid)))
}

/** Waits until every peer has what all have acknowledged: no more, no less, all of it pinned; says what is wrong if that does not happen. */
async function settled(
  bed: Bed,
  sides: readonly Side[],
): Promise<{ pins: number; differences: readonly string[] }> {
  let pins = 0
  let differences: readonly string[] = []
  const isSettled = async () => {
    const wanted = new Set(sides.flatMap(({ expected }) => [...expected.in('present')]))
    pins = wanted.size
    differences = (
      await Promise.all(
        bed.peers.map((peer, index) => differencesOf(peer, bed.daemons[index] as string, wanted)),
      )
    ).flat()
    return differences.length === 0
  }
  await waitFor(isSettled, { timeoutMs: SETTLE_TIMEOUT_MS, intervalMs: 500, what: 'agreement' }).catch(
    (error: unknown) => {
      if (differences.length === 0) throw error
    },
  )
  if (differences.length > 0) differences = [...differences, ...(await Promise.all(bed.peers.map(linksOf)))]
  const surplus = /has [1-9]\d* too many \((\w+)\)/.exec(differences[0] ?? '')?.[1]
  return {
    pins,
    differences: surplus === undefined ? differences : [...differences, await story(bed, sides, surplus)],
  }
}

/** Whom a peer is connected to. */
async function linksOf(peer: InteropPeer): Promise<string> {
  const { cluster_links: links } = (await peer.json('/health/graph')) as Json
  return `${peer.name} (${peer.id}) is connected to ${links[peer.id]?.join(' ') ?? 'nobody'}`
}

/** What is known of a CID that should not be there. */
async function story(bed: Bed, sides: readonly Side[], cid: string): Promise<string> {
  const pins = await Promise.all(bed.peers.map(async peer => await textOf(`${peer.rest}/allocations/${cid}`)))
  const states = sides.map(({ peer, expected }) => `${peer.name}: ${expected.of(cid) ?? 'not asked'}`)
  return `${cid}: ${states.join(', ')}; ${pins.join(' ')}`
}

async function differencesOf(
  peer: InteropPeer,
  daemon: string,
  wanted: ReadonlySet<string>,
): Promise<string[]> {
  const listed = await pinset(peer)
  const rows = new Map<string, string>()
  for (const { cid, peer_map: statuses } of await peer.list('/pins?local=true'))
    rows.set(cid, statuses[peer.id].status)
  const kept = new Set<string>()
  for (const line of (await textOf(`${daemon}/pin/ls?stream=true`, 'POST')).split('\n'))
    if (line !== '') kept.add(JSON.parse(line).Cid)
  const notPinned = [...rows].filter(([, status]) => status !== 'pinned')
  const counts = await counted(peer)
  return [
    difference('pinset', listed, wanted),
    difference('table', new Set(rows.keys()), wanted),
    difference('daemon', kept, wanted),
    notPinned.length === 0 ? '' : `${notPinned.length} not pinned, such as ${notPinned[0]?.join(' ')}`,
    counts === wanted.size ? '' : `counts ${counts} pins of ${wanted.size}`,
  ]
    .filter(text => text !== '')
    .map(text => `${peer.name}: ${text}`)
}

/** The tracker's own count, from its metrics. */
async function counted(peer: InteropPeer): Promise<number> {
  const { observations } = JSON.parse(await readFile(join(peer.folder, 'service.json'), 'utf8'))
  const port = /tcp\/(\d+)/.exec(observations.metrics.prometheus_endpoint)?.[1]
  const text = await textOf(`http://127.0.0.1:${port}/metrics`)
  return Number(/^ipfscluster_pintracker_rows\{[^}]*status="pinned"[^}]*\} (\d+)$/m.exec(text)?.[1] ?? 'NaN')
}

function difference(what: string, found: ReadonlySet<string>, wanted: ReadonlySet<string>): string {
  const missing = [...wanted].filter(cid => !found.has(cid))
  const surplus = [...found].filter(cid => !wanted.has(cid))
  if (missing.length === 0 && surplus.length === 0) return ''
  return `${what} lacks ${missing.length} (${missing[0]}), has ${surplus.length} too many (${surplus[0]})`
}

function allRefused(sides: readonly Side[]): Record<string, number> {
  const all: Record<string, number> = {}
  for (const { traffic } of sides) {
    for (const [what, count] of traffic.refused) all[what] = (all[what] ?? 0) + count
  }
  return all
}

/** Over a connection of its own: one that was used before may be closed while this process is too busy with a large listing to notice. */
async function textOf(url: string, method = 'GET'): Promise<string> {
  return await (await fetch(url, { method, headers: { connection: 'close' } })).text()
}

async function number(daemon: string, what: string): Promise<number> {
  return Number(await textOf(`${daemon}/bench/${what}`))
}

async function sum(bed: Bed, figure: (daemon: string) => Promise<number>): Promise<number> {
  const figures = await Promise.all(bed.daemons.map(figure))
  return figures.reduce((all, each) => all + each, 0)
}
