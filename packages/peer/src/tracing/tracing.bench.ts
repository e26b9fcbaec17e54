/**
 * What tracing costs, in time of the processor, as other programs of the machine take none of that: the calls around everything when it is off, a span when it is on, and pins into the pinset with it off, on at 0.3 and
 * on for all. Run with `node packages/peer/src/tracing/tracing.bench.ts`.
 */
import { newPin, DEFAULT_PIN_OPTIONS } from '@ipfs-cluster/api'
import {
  noopTracer,
  seededRandom,
  silentLogger,
  systemClock,
  systemRandom,
  traced,
  type Tracer,
} from '@ipfs-cluster/base'
import { openLevelStore } from '@ipfs-cluster/base/level-store'
import { createFakeNetworks, rawBlock } from '@ipfs-cluster/testkit'
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Cluster } from '../cluster/index.ts'
import { createCrdtConsensus, type Consensus } from '../consensus/index.ts'
import { createRecorder } from './recorder.ts'
import { tracedCluster, tracedConsensus } from './traced-cluster.ts'

const PINS = 10_000
const AT_ONCE = 64
const ROUNDS = 5

let recorded = 0
const recorder = (probability: number) =>
  createRecorder({ clock: systemClock, random: systemRandom, onEnd: () => void recorded++ }, probability)

async function nsPerCall(tracer: Tracer, calls: number): Promise<number> {
  const done = Promise.resolve()
  const work = () => done
  const options = {}
  const seconds = stopwatch()
  for (let i = 0; i < calls; i++) {
    const promise = traced(tracer, 'name', options, work)
    if ((i & 1023) === 0) await promise
  }
  return (seconds() * 1e9) / calls
}

/** Seconds of the processor. */
function stopwatch(): () => number {
  const before = process.cpuUsage()
  return () => {
    const { user, system } = process.cpuUsage(before)
    return (user + system) / 1e6
  }
}

/** Only what tracing adds to: a use case that writes the pinset. */
async function pinsPerSecond(tracer: Tracer | undefined): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'tracing-bench-'))
  const { networks } = createFakeNetworks(1)
  const [network] = networks
  assert.ok(network)
  await using store = await openLevelStore(join(folder, 'store'))
  const parts = { store, network, clock: systemClock, random: seededRandom(1), logger: silentLogger }
  const config = {
    clusterName: 'bench',
    trustedPeers: 'all',
    batching: { maxBatchSize: 0, maxBatchAgeMs: 0, maxQueueSize: 0 },
    rebroadcastIntervalMs: 60_000,
  } as const
  await using raw = await createCrdtConsensus(parts, config)
  const consensus: Consensus = tracer === undefined ? raw : tracedConsensus(raw, tracer)
  const bare = {
    async pinObject(pin) {
      await consensus.logPin(pin)
      return pin
    },
  } satisfies Partial<Cluster> as unknown as Cluster
  const cluster = tracer === undefined ? bare : tracedCluster(bare, tracer)
  const pins = Array.from({ length: PINS }, (_, i) => newPin(rawBlock(`${i}`).cid, DEFAULT_PIN_OPTIONS))
  const seconds = stopwatch()
  const left = pins.values()
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const pin of left) await cluster.pinObject(pin)
    }),
  )
  const rate = PINS / seconds()
  await rm(folder, { recursive: true })
  return rate
}

const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN

const ways: Readonly<Record<string, Tracer | undefined>> = {
  'without the hooks': undefined,
  off: noopTracer,
  'on, 0.3': recorder(0.3),
  'on, all': recorder(1),
}
for (const [name, tracer] of Object.entries(ways)) {
  if (tracer === undefined) continue
  const calls = tracer === noopTracer ? 10_000_000 : 200_000
  await nsPerCall(tracer, calls / 10)
  console.log(`a span, ${name}: ${(await nsPerCall(tracer, calls)).toFixed(1)} ns`)
}
const rates = new Map<string, number[]>()
// In turns, as the machine has better and worse moments.
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, tracer] of Object.entries(ways)) {
    const rate = await pinsPerSecond(tracer)
    rates.set(name, [...(rates.get(name) ?? []), rate])
  }
}
for (const [name, all] of rates)
  console.log(`pins/s, ${name}: ${Math.round(median(all))} (${all.map(Math.round).join(' ')})`)
console.log(`${recorded} spans recorded`)
