/** A few kills of each kind; `run-kill.ts` does twenty of each and more. */
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { test } from 'node:test'
import { runKills } from './kill.ts'
import type { Mode } from './traffic.ts'

const CASES: readonly { readonly mode: Mode; readonly peers: number; readonly kills: number }[] = [
  { mode: 'single', peers: 1, kills: 2 },
  { mode: 'bulk', peers: 1, kills: 2 },
  { mode: 'batched', peers: 3, kills: 2 },
]

/** Pins that a daemon may be given twice for each kill: those under way, and results not written down yet. */
const REPEATED_PER_KILL = 300

for (const { mode, peers, kills } of CASES) {
  test(`kill -9 during ingest, ${mode}, peers: ${peers}: nothing acknowledged is lost, and all of it ends pinned`, async t => {
    const seed = randomInt(2 ** 31)
    t.diagnostic(`seed ${seed}`)
    const report = await runKills({ mode, peers, kills, seed, trafficMs: [100, 700] })
    assert.ok(report.acknowledged > 0)
    assert.deepEqual([report.missing, report.surplus, report.differences], [0, 0, []], `seed ${seed}`)
    // On a machine that is too busy the peer may find that a request took too long to come.
    assert.deepEqual(
      Object.keys(report.refused).filter(what => !what.endsWith(' 408')),
      [],
    )
    const ends = (kills + report.killsDuringStart) * REPEATED_PER_KILL
    assert.ok(report.repeated <= ends, `${report.repeated} pins were done twice`)
  })
}
