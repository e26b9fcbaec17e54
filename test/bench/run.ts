/**
 * Measures whole peers as their users meet them, beside a daemon that pins without work: `node test/bench/run.ts [SCENARIO…]`.
 *
 * | option | |
 * |---|---|
 * | `--pins N` | size of the large pinset; the other sizes follow. @default 50000 |
 * | `--churn N` | pins that the churn adds and removes. @default 2 × pins, at most 200000 |
 * | `--large` | afterwards, what a size of 1,000,000 says more about: LARGE_SCENARIOS |
 * | `--runs N` | the table shows medians. @default 1 |
 * | `--results FILE` | keeps the results, one JSON document a line; what is there already is not measured again, and is shown, too |
 * | `--again` | what is measured now replaces what the file has of it |
 * | `--write` | puts the table of all results into docs/benchmarks.md. The file is then docs/benchmarks.jsonl, unless another is named |
 * | `--only ts\|go` | one implementation |
 * | `--profile FOLDER` | CPU profiles of our peers; `node test/bench/profile.ts FOLDER` shows them |
 *
 * With IPFS_CLUSTER_GO_BIN it measures the Go implementation beside ours, taking turns; with KUBO_BIN also files added through Kubo.
 */
import { availableParallelism, cpus, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import { goBinary } from '../interop/peers.ts'
import { table, type Result } from './figures.ts'
import { keepResult, readResults, RECORD, writeResults, writeTable } from './results.ts'
import { runApart, type Task } from './run-apart.ts'
import { LARGE, LARGE_SCENARIOS, SCENARIOS, USUAL_SCENARIOS } from './scenarios.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    pins: { type: 'string', default: '50000' },
    churn: { type: 'string' },
    runs: { type: 'string', default: '1' },
    results: { type: 'string' },
    again: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    profile: { type: 'string' },
    large: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
})
const unknown = positionals.filter(name => SCENARIOS[name] === undefined)
if (unknown.length > 0) {
  console.error(`no scenario ${unknown.join(', ')}; there are: ${Object.keys(SCENARIOS).join(' ')}`)
  process.exit(1)
}
const pins = whole('--pins', values.pins)
const churn = values.churn === undefined ? Math.min(2 * pins, 200_000) : whole('--churn', values.churn)
const runs = whole('--runs', values.runs)
const kinds = (['ts', 'go'] as const).filter(
  kind => (kind === 'ts' || goBinary !== undefined) && (values.only === '' || kind === values.only),
)
if (values.profile !== undefined) process.env['BENCH_PROFILE'] = values.profile

const machine = `${availableParallelism()} cores (${cpus()[0]?.model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}`
const plan = (positionals.length > 0 ? positionals : USUAL_SCENARIOS).map(scenario => ({ scenario, pins }))
if (values.large) plan.push(...LARGE_SCENARIOS.map(scenario => ({ scenario, pins: LARGE })))
const file = values.results ?? (values.write ? RECORD : undefined)
let results: Result[] = file === undefined ? [] : await readResults(file)
if (file !== undefined && values.again) {
  const isPlanned = (each: Result) =>
    plan.some(part => kinds.some(kind => isOf({ ...part, kind, churn }, each)))
  results = results.filter(each => !isPlanned(each))
  await writeResults(file, results)
}
let failed = false
for (let run = 1; run <= runs; run++) {
  for (const { scenario, pins } of plan) {
    for (const kind of kinds) await measure({ scenario, kind, pins, churn }, run)
  }
}
console.log(`${[...new Set(results.map(each => each.machine))].join('; ')}\n\n${table(results)}`)
if (values.write) await writeTable(results)
process.exitCode = failed ? 1 : 0

async function measure(task: Task, run: number): Promise<void> {
  const { scenario, kind } = task
  const size = sizeOf(task)
  if (results.filter(each => isOf(task, each)).length >= run) return
  const began = performance.now()
  const what = () =>
    `${scenario} ${kind}, ${size} pins, run ${run}: ${((performance.now() - began) / 1000).toFixed(1)} s`
  try {
    const figures = await runApart(task)
    const result: Result = { scenario, kind, pins: size, at: Date.now(), machine, figures }
    results.push(result)
    if (file !== undefined) await keepResult(file, result)
    console.error(what())
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    console.error(`${what()}, failed: ${text}`)
    failed = true
  }
}

function sizeOf({ scenario, pins, churn }: Task): number {
  return scenario === 'churn' ? churn : pins
}

function isOf(task: Task, { scenario, kind, pins }: Result): boolean {
  return scenario === task.scenario && kind === task.kind && pins === sizeOf(task)
}

function whole(name: string, text: string): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value > 0) return value
  console.error(`${name} must be a whole number above 0, not ${text}`)
  process.exit(1)
}
