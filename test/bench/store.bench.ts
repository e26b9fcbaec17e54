/**
 * A store engine under the rows of a peer: `node test/bench/store.bench.ts [--pins N] [--churn N] [--engine FILE]`. An engine is a module
 * that exports `openStore(path): Promise<Store & AsyncDisposable>`; none = what a peer uses. Each step runs in a process of its own, so that its
 * memory is its own.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import type { Store } from '@ipfs-cluster/base'
import { openLevelStore } from '@ipfs-cluster/base/level-store'
import { diskBytes, memoryOf } from './sample.ts'
import {
  pinBatches,
  type PinBatches,
  settledPins,
  stateKey,
  STATE_ROWS,
  TRACKER_ROWS,
  trackerKey,
  unpinBatch,
} from './store-rows.ts'

const { values } = parseArgs({
  options: {
    pins: { type: 'string', default: '100000' },
    churn: { type: 'string', default: '20000' },
    engine: { type: 'string', default: '' },
    folder: { type: 'string', default: '' },
    step: { type: 'string', default: '' },
  },
})
const PINS = Number(values.pins)
const CHURN = Number(values.churn)
const FILL_PINS = 1000
const READS = 50_000
/** Pins whose rows are made at a time. */
const MADE_AHEAD = 20_000
const MIB = 1024 * 1024

type Engine = Store & AsyncDisposable

async function open(path: string): Promise<Engine> {
  if (values.engine === '') return await openLevelStore(path)
  const { openStore } = (await import(pathToFileURL(values.engine).href)) as {
    openStore: (path: string) => Promise<Engine>
  }
  return await openStore(path)
}

interface Spent {
  seconds: number
  /** Of all threads. */
  cpuMicros: number
  count: number
}

const nothing = (): Spent => ({ seconds: 0, cpuMicros: 0, count: 0 })

async function measure(spent: Spent, work: () => Promise<number>): Promise<void> {
  const cpu = process.cpuUsage()
  const began = performance.now()
  spent.count += await work()
  spent.seconds += (performance.now() - began) / 1000
  const { user, system } = process.cpuUsage(cpu)
  spent.cpuMicros += user + system
}

function print(what: string, { seconds, cpuMicros, count }: Spent): void {
  const rate = Math.round(count / seconds).toLocaleString('en')
  console.log(
    `${what.padEnd(34)} ${rate.padStart(11)}/s ${(cpuMicros / count).toFixed(2).padStart(9)} µs CPU each`,
  )
}

async function timed(what: string, work: () => Promise<number>): Promise<void> {
  const spent = nothing()
  await measure(spent, work)
  print(what, spent)
}

async function report(what: string): Promise<void> {
  const { resident, own } = await memoryOf(process.pid)
  const disk = await diskBytes(values.folder)
  console.log(
    `${what.padEnd(34)} resident ${Math.round(resident / MIB)} MiB, of it own ${Math.round(own / MIB)}; disk ${Math.round(disk / 1e6)} MB`,
  )
}

/** Writes pins `[from, from + count)`, `together` of them at a time; making the rows is not measured. */
async function write<B>(
  what: string,
  [from, count, together]: readonly [from: number, count: number, together: number],
  make: (from: number, count: number) => B,
  put: (batch: B) => Promise<void>,
): Promise<void> {
  const spent = nothing()
  for (let at = from; at < from + count; at += MADE_AHEAD) {
    const batches: B[] = []
    for (let pin = at; pin < Math.min(from + count, at + MADE_AHEAD); pin += together) {
      batches.push(make(pin, together))
    }
    await measure(spent, async () => {
      for (const batch of batches) await put(batch)
      return batches.length * together
    })
  }
  print(what, spent)
}

/** As a peer takes a pin: it looks whether there is one, a durable commit, then the tracker's batches. */
async function ingest(store: Engine, { looked, commit, queued, done }: PinBatches): Promise<void> {
  await store.getMany(looked)
  await store.batch(commit, { sync: true })
  await store.batch(queued)
  await store.batch(done)
}

const random = (seed: number) => (Math.imul(seed + 1, 2_654_435_761) >>> 0) % PINS

async function readMany(store: Engine, keyOf: (index: number) => Uint8Array, each: number): Promise<number> {
  for (let at = 0; at < READS; at += each) {
    const rows = await store.getMany(Array.from({ length: each }, (_, i) => keyOf(random(at + i))))
    if (rows.some(row => row === undefined)) throw new Error('a row is missing')
  }
  return READS
}

async function count(rows: AsyncIterable<unknown>): Promise<number> {
  let found = 0
  for await (const _ of rows) found++
  return found
}

const STEPS: Readonly<Record<string, (store: Engine) => Promise<void>>> = {
  async fill(store) {
    await write(`fill, ${FILL_PINS} pins a batch`, [0, PINS, FILL_PINS], settledPins, ops => store.batch(ops))
    await report('after the fill')
  },
  async ingest(store) {
    await report('opened')
    let from = PINS
    for (const [together, total] of [
      [1, 2_000],
      [32, 32_000],
      [1000, 100_000],
    ] as const) {
      const pins = Math.min(total, PINS - (PINS % together))
      await write(`ingest, ${together} a commit`, [from, pins, together], pinBatches, rows =>
        ingest(store, rows),
      )
      from += pins
    }
    await report('after ingest')
  },
  async read(store) {
    await timed('state row, one by one', async () => {
      for (let i = 0; i < READS / 5; i++) await store.get(stateKey(random(i)))
      return READS / 5
    })
    await timed('state rows, 32 at once', () => readMany(store, stateKey, 32))
    await timed('tracker rows, 500 at once', () => readMany(store, trackerKey, 500))
    await report('after reads')
  },
  async scan(store) {
    await timed('scan of the state', () => count(store.entries(STATE_ROWS)))
    await timed('scan of the tracker’s table', () => count(store.keys(TRACKER_ROWS)))
    await report('after scans')
  },
  async churn(store) {
    for (let round = 0; round < 4; round++) {
      const pins = [2 * PINS + round * CHURN, CHURN, 100] as const
      await write(`churn: ${CHURN} pinned`, pins, pinBatches, rows => ingest(store, rows))
      await write(`churn: ${CHURN} unpinned`, pins, unpinBatch, ops => store.batch(ops, { sync: true }))
      await report(`churn, round ${round + 1}`)
    }
  },
  reopen: () => report('opened'),
}

async function runStep(name: string): Promise<void> {
  const began = performance.now()
  const store = await open(values.folder)
  if (name === 'reopen') console.log(`opened in ${(performance.now() - began).toFixed(0)} ms`)
  await STEPS[name]?.(store)
  const closing = performance.now()
  await store[Symbol.asyncDispose]()
  console.log(`${name}: closed in ${(performance.now() - closing).toFixed(0)} ms`)
}

if (values.step === '') {
  const folder = values.folder === '' ? mkdtempSync(join(tmpdir(), 'store-bench-')) : values.folder
  try {
    for (const step of Object.keys(STEPS)) {
      const args = [import.meta.filename, ...process.argv.slice(2), '--folder', folder, '--step', step]
      if (spawnSync(process.execPath, args, { stdio: 'inherit' }).status === 0) continue
      process.exitCode = 1
      break
    }
  } finally {
    if (values.folder === '') rmSync(folder, { recursive: true, force: true })
  }
} else {
  await runStep(values.step)
}
