/**
 * Fuzzes decoders for as long as it is told: `node test/fuzz/run.ts [--inputs N] [--seed S] [--target NAME]`. One process a target, one
 * after the other; prints a table and every failure with its input. Targets that are whole sessions get a share of N. Not part of `npm test`,
 * which runs fewer inputs of each (`fuzz.test.ts`).
 *
 * `--target NAME --replay HEX [--index I]` runs one input again.
 */
import { fork } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { fuzz, type FuzzReport, inputRandom } from './fuzz.ts'
import type { Target } from './target.ts'
import { TARGETS } from './targets/index.ts'

/** An input that takes longer is a hang: the process is ended and the input printed. Milliseconds. */
const HANG_MS = 60_000
const POLL_MS = 2_000
/** Slowest inputs shown below the table. Milliseconds. */
const SLOW_MS = 50

interface Result {
  readonly report: Omit<FuzzReport, 'refused'> & { readonly refused: readonly (readonly [string, number])[] }
  readonly peakRssBytes: number
}

const { values: options } = parseArgs({
  options: {
    inputs: { type: 'string', default: '20000' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    target: { type: 'string', default: '' },
    replay: { type: 'string' },
    index: { type: 'string', default: '0' },
    // Of the processes that this one starts.
    trace: { type: 'string' },
  },
})
const seed = Number(options.seed)
const inputsOf = (target: Target) => Math.max(1, Math.round(Number(options.inputs) * (target.share ?? 1)))

if (options.trace !== undefined) await runHere(options.trace)
else if (options.replay !== undefined) await replay(options.replay)
else await runAll()

async function runAll(): Promise<void> {
  const chosen = TARGETS.filter(({ name }) => name.includes(options.target))
  if (chosen.length === 0) {
    console.error(`no target has ${JSON.stringify(options.target)} in its name; there are:`)
    for (const { name } of TARGETS) console.error(`  ${name}`)
    process.exitCode = 1
    return
  }
  console.log(`seed ${seed}\n`)
  console.log(
    '| target | inputs | accepted | refused by code | slowest ms (bytes) | peak RSS MB | inputs/s |',
  )
  console.log('|---|---|---|---|---|---|---|')
  const folder = mkdtempSync(join(tmpdir(), 'fuzz-'))
  const notes: string[] = []
  for (const target of chosen) {
    const trace = join(folder, 'input')
    const result = await runApart(target, trace)
    if (typeof result === 'string') {
      const { index, input } = lastInput(trace)
      notes.push(`${target.name}: ${result} at input ${index}\n  ${input.toString('hex')}`)
      console.log(`| ${target.name} | ${index} | **${result}** | | | | |`)
    } else {
      console.log(row(result))
      notes.push(...remarks(result))
    }
  }
  rmSync(folder, { recursive: true })
  for (const note of notes) console.log(`\n${note}`)
}

/** The result, or why there is none. */
async function runApart(target: Target, trace: string): Promise<Result | string> {
  const args = ['--target', target.name, '--inputs', options.inputs, '--seed', String(seed), '--trace', trace]
  const child = fork(new URL(import.meta.url), args)
  let result: Result | undefined
  child.on('message', message => {
    result = message as Result
  })
  const { promise: exited, resolve } = Promise.withResolvers<void>()
  child.once('exit', () => resolve())
  let seen = -1
  let since = performance.now()
  let hangs = false
  while (!hangs && child.exitCode === null && child.signalCode === null) {
    await Promise.race([exited, sleep(POLL_MS)])
    const { index } = lastInput(trace)
    if (index !== seen) since = performance.now()
    seen = index
    hangs = performance.now() - since > HANG_MS
  }
  if (hangs) {
    process.exitCode = 1
    child.kill('SIGKILL')
    await exited
    return 'hangs'
  }
  if (result === undefined || result.report.failures.length > 0) process.exitCode = 1
  return result ?? `the process ended (${child.signalCode ?? child.exitCode})`
}

/** In a process of its own: fuzzes one target, leaving each input in a file before it is run. */
async function runHere(trace: string): Promise<void> {
  const target = TARGETS.find(({ name }) => name === options.target)
  if (target === undefined) throw new Error(`no target ${options.target}`)
  const file = openSync(trace, 'w')
  const head = Buffer.alloc(8)
  const report = await fuzz(target, {
    inputs: inputsOf(target),
    seed,
    before(index, input) {
      head.writeUInt32BE(index, 0)
      head.writeUInt32BE(input.length, 4)
      writeSync(file, Buffer.concat([head, input]), 0, 8 + input.length, 0)
    },
  })
  closeSync(file)
  const peakRssBytes = process.resourceUsage().maxRSS * 1024
  process.send?.({ report: { ...report, refused: [...report.refused] }, peakRssBytes } satisfies Result, () =>
    process.exit(0),
  )
}

function lastInput(trace: string): { readonly index: number; readonly input: Buffer } {
  if (statSync(trace, { throwIfNoEntry: false }) === undefined) return { index: -1, input: Buffer.alloc(0) }
  const bytes = readFileSync(trace)
  if (bytes.length < 8) return { index: -1, input: Buffer.alloc(0) }
  return { index: bytes.readUInt32BE(0), input: bytes.subarray(8, 8 + bytes.readUInt32BE(4)) }
}

function row({ report, peakRssBytes }: Result): string {
  const refused = report.refused.map(([code, count]) => `${code} ${count}`).join(', ')
  const slow = report.slowest[0]
  const cells = [
    report.target,
    report.inputs,
    report.accepted,
    refused,
    slow === undefined ? '' : `${slow.againMs.toFixed(1)} (${slow.bytes})`,
    Math.round(peakRssBytes / 2 ** 20),
    Math.round(report.inputs / report.seconds),
  ]
  return `| ${cells.join(' | ')} |`
}

function remarks({ report }: Result): string[] {
  const { target, failures, slowest } = report
  const slow = slowest
    .filter(({ againMs }) => againMs > SLOW_MS)
    .map(
      ({ index, ms, againMs, bytes, hex }) =>
        `${target}: slow input ${index}: ${ms.toFixed(1)} ms, again ${againMs.toFixed(1)} ms, ${bytes} bytes: ${hex.slice(0, 200)}`,
    )
  const failed = failures.map(
    ({ index, kind, message, stack, hex }) =>
      `${target}: ${kind} at input ${index}: ${message}\n${stack.split('\n').slice(1, 8).join('\n')}\n  ${hex}`,
  )
  return [...slow, ...failed]
}

async function replay(hex: string): Promise<void> {
  const target = TARGETS.find(({ name }) => name === options.target)
  if (target === undefined) throw new Error(`no target ${options.target}`)
  const input = new Uint8Array(Buffer.from(hex, 'hex'))
  const start = performance.now()
  try {
    console.log('accepted', await target.run(input, inputRandom(seed, Number(options.index))))
  } catch (error) {
    console.log('refused', target.refusal(error) ?? 'with an error that it must not have', error)
  }
  console.log(`${(performance.now() - start).toFixed(2)} ms`)
}
