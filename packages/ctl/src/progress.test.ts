import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '@ipfs-cluster/base'
import { createManualClock, waitFor } from '@ipfs-cluster/testkit'
import { serveRoutes } from '@ipfs-cluster/api/test-server'
import { createProgress, progressLine, rateOf, type ProgressState } from './progress.ts'
import { V1, handlers } from './test-peer.ts'
import { ctl, hostOf } from './test-run.ts'

const at = (state: Partial<ProgressState>) =>
  progressLine({ sent: 0, total: undefined, rate: undefined, columns: 100, ...state })

test('what the line shows', () => {
  assert.equal(at({}), '0 B')
  assert.equal(at({ sent: 1234, rate: 500 }), '1.2 kB  500 B/s')
  const half = { sent: 41_500_000, total: 83_000_000, rate: 1_000_000 }
  assert.equal(at(half), `42 MB of 83 MB   50%  [${'='.repeat(12)}>${' '.repeat(11)}]  1.0 MB/s  42s left`)
  assert.equal(at({ ...half, sent: 83_000_000 }), `83 MB of 83 MB  100%  [${'='.repeat(24)}]`)
  // A file that grew while it was read.
  assert.equal(at({ sent: 10, total: 5, rate: 1 }), `10 B of 5 B  100%  [${'='.repeat(24)}]`)
  assert.equal(at({ sent: 0, total: 0, rate: 0 }), '0 B  0 B/s')
})

test('time left, in the unit that matters', () => {
  const left = (bytes: number, rate: number | undefined) =>
    /\S+ left$/.exec(at({ sent: 0, total: bytes, rate }))?.[0]
  assert.equal(left(1, 10), '1s left')
  assert.equal(left(59, 1), '59s left')
  assert.equal(left(65, 1), '1m05s left')
  assert.equal(left(7_500, 1), '2h05m left')
  assert.equal(left(1e9, 1), undefined)
  assert.equal(left(100, 0), undefined)
  assert.equal(left(100, undefined), undefined)
})

test('a narrow terminal gets less of it, and never a line that wraps', () => {
  const state = { sent: 41_500_000, total: 83_000_000, rate: 1_000_000 }
  assert.equal(at({ ...state, columns: 50 }), '42 MB of 83 MB   50%  1.0 MB/s  42s left')
  assert.equal(at({ ...state, columns: 33 }), '42 MB of 83 MB   50%  1.0 MB/s')
  assert.equal(at({ ...state, columns: 22 }), '42 MB of 83 MB   50%')
  for (let columns = 1; columns < 100; columns++) assert.ok(at({ ...state, columns }).length < columns)
})

test('the rate is that of the samples', () => {
  assert.equal(rateOf([]), undefined)
  assert.equal(rateOf([{ at: 5, sent: 1 }]), undefined)
  assert.equal(
    rateOf([
      { at: 1000, sent: 10 },
      { at: 1500, sent: 15 },
      { at: 3000, sent: 1010 },
    ]),
    500,
  )
})

test('it draws at intervals, makes room for what is printed, and leaves nothing behind', async () => {
  const clock = createManualClock()
  const written: string[] = []
  const terminal = { write: async (text: string) => void written.push(text), columns: () => 80 }
  const total = Promise.withResolvers<number | undefined>()
  {
    await using progress = createProgress(terminal, total.promise, clock)
    assert.deepEqual(written.splice(0), ['\r\u001B[K0 B'])
    progress.add(500)
    await clock.advance(200)
    assert.deepEqual(written.splice(0), ['\r\u001B[K500 B  2.5 kB/s'])
    await progress.hide()
    await progress.hide()
    assert.deepEqual(written.splice(0), ['\r\u001B[K'])
    total.resolve(1000)
    await clock.advance(200)
    assert.match(written.splice(0).join(''), /500 B of 1\.0 kB {3}50% .* 1s left$/)
    // The rate is forgotten after a while without news.
    await clock.advance(10_000)
    assert.match(written.splice(0).at(-1) ?? '', / 0 B\/s$/)
  }
  assert.deepEqual(written, ['\r\u001B[K'])
  await clock.advance(1_000)
  assert.equal(written.length, 1)
})

test('what cannot be measured is drawn without a total', async () => {
  const written: string[] = []
  const terminal = { write: async (text: string) => void written.push(text), columns: () => 80 }
  const clock = createManualClock()
  await using _ = createProgress(terminal, Promise.reject(new Error('no')), clock)
  await clock.advance(200)
  assert.equal(written.at(-1), '\r\u001B[K0 B  0 B/s')
})

test('an upload shows it on a terminal, and there only', async () => {
  await using server = await serveRoutes(handlers)
  const add = async (...words: string[]) => {
    let shown = ''
    const terminal = { write: async (text: string) => void (shown += text), columns: () => 80 }
    const line = ['--host', hostOf(server.url), ...words, import.meta.filename]
    const { code, stdout, stderr } = await ctl(line, { terminal, clock: systemClock })
    assert.deepEqual([code, stderr], [0, ''])
    return { stdout, shown }
  }
  const { stdout, shown } = await add('add')
  assert.equal(stdout, `added ${V1} file progress.test.ts\n`)
  assert.ok(shown.startsWith('\r\u001B[K0 B'))
  assert.ok(shown.endsWith('\r\u001B[K'))
  for (const words of [
    ['add', '-q'],
    ['add', '-Q'],
    ['--enc', 'json', 'add'],
  ]) {
    assert.equal((await add(...words)).shown, '', words.join(' '))
  }
  await waitFor(() => server.requests.length === 4, { what: 'all uploads' })
})
