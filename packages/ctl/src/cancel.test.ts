import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { TRACKER_STATUS, newPin, type RouteHandlers } from '@ipfs-cluster/api'
import { serveRoutes } from '@ipfs-cluster/api/test-server'
import { systemClock } from '@ipfs-cluster/base'
import { startProcess, waitFor } from '@ipfs-cluster/testkit'
import { A, handlers, statusOf, V0 } from './test-peer.ts'
import { ctl, hostOf, hurried } from './test-run.ts'

const bin = fileURLToPath(new URL('../bin/ipfs-cluster-ctl.mjs', import.meta.url))
const never = new Promise<never>(() => undefined)

/** A pin that never gets pinned. */
const pinning: Partial<RouteHandlers> = {
  pinPath: () => newPin(V0, { replicationFactorMin: 1 }),
  status: () => {
    const status = statusOf(V0)
    const entry = Object.values(status.peerMap)[0]
    return entry === undefined
      ? status
      : { ...status, peerMap: { [A]: { ...entry, status: TRACKER_STATUS.pinning } } }
  },
}

const CASES: readonly (readonly [line: string, changes: Partial<RouteHandlers>, stderr: string])[] = [
  ['version', { version: () => never }, 'error : cancelled\n'],
  [`pin add --wait ${V0}`, pinning, 'error waiting for pin status: cancelled\n'],
  [`pin add --wait --wait-timeout 1h ${V0}`, pinning, 'error waiting for pin status: cancelled\n'],
  [
    'pin ls',
    {
      async *allocations() {
        yield* []
        await never
      },
    },
    'error : cancelled\n',
  ],
]

for (const [line, changes, stderr] of CASES) {
  test(`Ctrl-C: ${line}`, async () => {
    await using server = await serveRoutes({ ...handlers, ...changes })
    const args = ['--host', hostOf(server.url), ...line.split(' ')]
    await using child = await startProcess(process.execPath, [bin, ...args])
    await waitFor(() => server.requests.length > 0, { what: 'the request' })
    child.kill('SIGINT')
    const exit = await child.exited
    assert.deepEqual({ ...exit }, { code: 125, signal: null, stdout: '', stderr })
  })
}

test('cancelled between a change and the look at its status', async () => {
  await using server = await serveRoutes(handlers)
  const cancel = new AbortController()
  const outcome = ctl(['--host', hostOf(server.url), 'pin', 'add', V0.toString()], {
    signal: cancel.signal,
    clock: { ...hurried, sleep: (ms, options) => systemClock.sleep(ms * 1000, options) },
  })
  await waitFor(() => server.requests.length > 0, { what: 'the pin' })
  cancel.abort(new DOMException('cancelled', 'AbortError'))
  assert.deepEqual(await outcome, { code: 125, stdout: '', stderr: 'error : cancelled\n' })
})

test('an upload is cancelled while it reads, and the file is let go', async () => {
  await using server = await serveRoutes(handlers)
  const cancel = new AbortController()
  const reading = Promise.withResolvers<void>()
  let closed = false
  const outcome = ctl(['--host', hostOf(server.url), 'add', 'endless'], {
    signal: cancel.signal,
    files: {
      currentDirectory: async () => '/',
      kind: async () => 'file',
      size: async () => 0,
      names: async () => [],
      target: async () => '',
      write: async () => undefined,
      create: async () => assert.fail('nothing is written'),
      async *read() {
        try {
          while (true) {
            yield new Uint8Array(1000)
            reading.resolve()
            await once(process.stdout, 'nothing', { signal: AbortSignal.timeout(5) }).catch(() => undefined)
          }
        } finally {
          closed = true
        }
      },
    },
  })
  await reading.promise
  cancel.abort(new DOMException('cancelled', 'AbortError'))
  assert.deepEqual(await outcome, { code: 125, stdout: '', stderr: 'error : cancelled\n' })
  await waitFor(() => closed, { what: 'the file is closed' })
})

test('--wait-timeout beyond a second ends the wait with 62, shorter ones do not count', async () => {
  await using server = await serveRoutes({ ...handlers, ...pinning })
  const wait = async (timeout: string, signal = new AbortController().signal) =>
    await ctl(['--host', hostOf(server.url), 'pin', 'add', '--wait', '--wt', timeout, V0.toString()], {
      signal,
      clock: { ...hurried, sleep: (_, options) => systemClock.sleep(1, options) },
    })
  const late = await wait('1001ms')
  assert.equal(late.code, 62)
  const text = 'context deadline exceeded: not done within 1.001s'
  assert.equal(late.stderr, `error waiting for pin status: ${text}\n`)
  for (const timeout of ['1s', '10ms', '-5s']) {
    const cancel = new AbortController()
    const outcome = wait(timeout, cancel.signal)
    const before = server.requests.length
    // A wait with an end would be over after 20 ms.
    await waitFor(() => server.requests.length > before + 40, { what: 'many looks' })
    cancel.abort(new DOMException('cancelled', 'AbortError'))
    assert.equal((await outcome).code, 125, timeout)
  }
})
