/** The suite itself, at a tiny size: it must work when it is needed. Its figures mean nothing here. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { runProcess } from '@ipfs-cluster/testkit'
import { table, type Result } from './figures.ts'
import { keepResult, readResults } from './results.ts'

const run = (args: readonly string[]) =>
  runProcess(process.execPath, [join(import.meta.dirname, 'run.ts'), ...args], {
    env: { IPFS_CLUSTER_GO_BIN: '', KUBO_BIN: '' },
  })

test('a scenario is measured once and kept, or again', { timeout: 120_000 }, async t => {
  const folder = await mkdtemp(join(tmpdir(), 'bench-test-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'results')
  const args = ['ingest', '--pins', '1000', '--only', 'ts', '--results', file]
  const first = await run(args)
  assert.equal(first.code, 0, first.stderr)
  const results = await readResults(file)
  assert.deepEqual(
    results.map(({ scenario, kind, pins }) => ({ scenario, kind, pins })),
    [{ scenario: 'ingest', kind: 'ts', pins: 1000 }],
  )
  assert.ok(results[0]?.figures.every(({ value }) => value >= 0))
  const again = await run(args)
  assert.equal(again.stdout, first.stdout)
  assert.deepEqual(await readResults(file), results)
  // Of something else: stays.
  const other: Result = { scenario: 'join', kind: 'ts', pins: 1000, at: 0, machine: 'another', figures: [] }
  await keepResult(file, other)
  const renewed = await run([...args, '--again'])
  assert.equal(renewed.code, 0, renewed.stderr)
  const [kept, measured, ...more] = await readResults(file)
  assert.deepEqual(kept, other)
  assert.equal(measured?.scenario, 'ingest')
  assert.ok(measured.at > (results[0]?.at ?? Infinity))
  assert.deepEqual(more, [])
})

test('a scenario that does not exist is an error', async () => {
  const { code, stderr } = await run(['nothing'])
  assert.equal(code, 1)
  assert.match(stderr, /no scenario nothing; there are: ingest /)
})

test('the table: medians, ratio, and whether a bar holds', () => {
  const result = (kind: Result['kind'], value: number): Result => ({
    scenario: 'pinset',
    kind,
    pins: 1_000_000,
    at: 0,
    machine: 'any',
    figures: [{ what: 'GET /allocations', unit: 'pins/s', value }],
  })
  const text = table([...[300, 100, 200].map(value => result('ts', value)), result('go', 90)])
  assert.match(
    text,
    /\| 1M \| GET \/allocations \| pins\/s \| 200 \(100–300\) \| 90\.0 \| 2\.22 \| ≥ 2 × Go \| holds \|/,
  )
  assert.match(table([result('ts', 100), result('go', 90)]), /\*\*fails\*\*/)
  assert.match(table([result('ts', 100)]), /≥ 2 × Go \|  \|/)
})
