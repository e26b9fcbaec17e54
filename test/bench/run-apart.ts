/**
 * Runs one scenario in a process of its own, the leader of a group: whatever happens, everything that it started and its temporary folder are gone
 * afterwards. As a program (`node run-apart.ts OPTIONS`) it is that process.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Kind } from '../interop/peers.ts'
import type { Figure } from './figures.ts'
import { SCENARIOS } from './scenarios.ts'

export interface Task {
  readonly scenario: string
  readonly kind: Kind
  readonly pins: number
  readonly churn: number
}

/** For the slowest scenario at 100,000 pins; more for more. */
const LEAST_TIME_MS = 600_000
const MS_A_PIN = 6

/** @throws with the end of its output when it fails, or takes too long. */
export async function runApart(task: Task): Promise<readonly Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-run-'))
  const answer = join(folder, 'figures.json')
  const child = spawn(process.execPath, [import.meta.filename, JSON.stringify(task), answer], {
    detached: true,
    env: { ...process.env, TMPDIR: folder },
    stdio: ['ignore', 'inherit', 'pipe'],
  })
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors = (errors + text).slice(-4000)))
  const endGroup = () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    } catch {
      // All of it has ended already.
    }
  }
  const stop = () => {
    endGroup()
    process.exitCode = 130
    void rm(folder, { recursive: true, force: true }).finally(() => process.exit())
  }
  process.once('SIGINT', stop).once('SIGTERM', stop)
  const limit = LEAST_TIME_MS + MS_A_PIN * Math.max(task.pins, task.churn)
  let late = false
  const timer = setTimeout(() => {
    late = true
    endGroup()
  }, limit)
  try {
    const [code] = (await once(child, 'exit')) as [number | null]
    if (late) throw new Error(`did not end within ${limit / 1000} s\n${errors}`)
    if (code !== 0) throw new Error(errors)
    return JSON.parse(await readFile(answer, 'utf8')) as Figure[]
  } finally {
    clearTimeout(timer)
    process.off('SIGINT', stop).off('SIGTERM', stop)
    endGroup()
    await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
}

const REST_MS = { least: 1_000, most: 24_000, eachPin: 0.2 }

if (import.meta.main) {
  const [, , text = '{}', answer = ''] = process.argv
  const task = JSON.parse(text) as Task
  const restMs = Math.max(REST_MS.least, Math.min(REST_MS.most, task.pins * REST_MS.eachPin))
  const figures = await SCENARIOS[task.scenario]?.({ ...task, restMs })
  await writeFile(answer, JSON.stringify(figures ?? []))
}
