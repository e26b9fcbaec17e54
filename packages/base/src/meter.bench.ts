/** What an observation costs: below 200 ns, so that no path is too hot to be measured. */
import { createMeter, OPENCENSUS_MS_BOUNDS } from './meter.ts'

const ROUNDS = 5_000_000
const meter = createMeter()
const bound = meter.histogram('bound', 'bound', OPENCENSUS_MS_BOUNDS).of({ method: 'Cluster.Pin' })
const bare = meter.histogram('bare', 'bare', OPENCENSUS_MS_BOUNDS)
const counter = meter.counter('counted_total', 'counted')
const labels = { method: 'Cluster.Pin', direction: 'in' }

function measure(name: string, rounds: number, once: (i: number) => void): void {
  for (let i = 0; i < rounds / 10; i++) once(i)
  const started = performance.now()
  for (let i = 0; i < rounds; i++) once(i)
  console.log(`${name}: ${(((performance.now() - started) * 1e6) / rounds).toFixed(1)} ns`)
}

measure('observe, series kept', ROUNDS, i => bound.observe(i % 3000))
measure('observe, no labels', ROUNDS, i => bare.observe(i % 3000))
const kept = counter.of(labels)
measure('count, series kept', ROUNDS, () => kept.add())
measure('count with labels', ROUNDS / 10, () => counter.add(labels))
