import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { RouteHandlers } from '@ipfs-cluster/api'
import { serveRoutes } from '@ipfs-cluster/api/test-server'
import { systemClock } from '@ipfs-cluster/base'
import type { Io } from './io.ts'
import { handlers, V0, V1 } from './test-peer.ts'
import { ctl, hostOf } from './test-run.ts'

const CAR = Buffer.concat([Uint8Array.of(0, 1, 0xff), Buffer.from(`CAR of ${V1}`)])

async function run(words: readonly string[], io: Partial<Io> = {}, changes: Partial<RouteHandlers> = {}) {
  await using server = await serveRoutes({ ...handlers, ...changes })
  return await ctl(['--host', hostOf(server.url), 'export', ...words], io)
}

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'ctl-export-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}

/** Fails when a piece has been sent. */
const broken: RouteHandlers['exportCar'] = () => ({
  car: (async function* () {
    yield new Uint8Array(500_000)
    throw new Error('a block is missing')
  })(),
})

test('the CAR goes to stdout, as it is', async () => {
  const out: Uint8Array[] = []
  const result = await run([`${V1}`], { stdoutBytes: async bytes => void out.push(bytes) })
  assert.deepEqual(result, { code: 0, stdout: '', stderr: '' })
  assert.deepEqual(Buffer.concat(out), CAR)
})

test('not to a terminal', async () => {
  const { code, stderr } = await run([`${V1}`])
  assert.equal(code, 1)
  assert.match(stderr, /a CAR is no text for a terminal: name a file with -o/)
})

test('a file has it once it is whole', async t => {
  const path = await folder(t)
  const written: string[] = []
  const terminal = { write: async (text: string) => void written.push(text), columns: () => 80 }
  assert.equal((await run(['-o', join(path, 'x.car'), `${V1}`], { terminal, clock: systemClock })).code, 0)
  assert.deepEqual(await readFile(join(path, 'x.car')), CAR)
  assert.match(written.join(''), / B/)
  const failed = await run(['--output', join(path, 'y.car'), `${V1}`], {}, { exportCar: broken })
  assert.equal(failed.code, 2)
  assert.match(failed.stdout, /Message: a block is missing/)
  assert.deepEqual(await readdir(path), ['x.car'])
})

test('what cannot be exported or written is told', async t => {
  const path = await folder(t)
  const missing = await run(['-o', join(path, 'x.car'), `${V0}`])
  assert.deepEqual([missing.code, await readdir(path)], [2, []])
  assert.match(missing.stdout, /Code: 404\n {2}Message: pin is not part of the pinset/)
  const nowhere = await run(['-o', join(path, 'none', 'x.car'), `${V1}`])
  assert.equal(nowhere.code, 1)
  assert.match(nowhere.stderr, /^error writing output file: open .*no such file or directory\n$/)
  assert.match((await run(['nonsense'])).stderr, /^error parsing cid: /)
})
