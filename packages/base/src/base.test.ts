import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compareBytes, fromHex, toHex } from './bytes.ts'
import { Channel } from './channel.ts'
import { systemClock } from './clock.ts'
import { formatDurationNs, parseDurationNs } from './duration.ts'
import { CodedError, errorCode } from './errors.ts'
import { KeyedLock, Limiter, mapConcurrent } from './limiter.ts'
import { silentLogger } from './logger.ts'
import { createTaskScope } from './task-scope.ts'

test('durations are written as Go writes them and read back', () => {
  const cases: [string, bigint, string][] = [
    ['2m0s', 120_000_000_000n, '2m0s'],
    ['0h2m0s', 120_000_000_000n, '2m0s'],
    ['24h', 86_400_000_000_000n, '24h0m0s'],
    ['1h30m', 5_400_000_000_000n, '1h30m0s'],
    ['1.5s', 1_500_000_000n, '1.5s'],
    ['200ms', 200_000_000n, '200ms'],
    ['50us', 50_000n, '50µs'],
    ['-10ns', -10n, '-10ns'],
    ['0', 0n, '0s'],
    ['.5m', 30_000_000_000n, '30s'],
  ]
  for (const [text, ns, canonical] of cases) {
    assert.equal(parseDurationNs(text), ns, text)
    assert.equal(formatDurationNs(ns), canonical)
  }
  // The last took minutes when its digits could be read in several ways.
  const long = '1'.repeat(1_000_000)
  const bad: [string, string][] = [
    ['', 'invalid duration ""'],
    ['-', 'invalid duration "-"'],
    ['5', 'missing unit in duration "5"'],
    ['1.5.5s', 'missing unit in duration "1.5.5s"'],
    ['1d', 'unknown unit "d" in duration "1d"'],
    ['1 s', 'unknown unit " s" in duration "1 s"'],
    ['1h-2m', 'unknown unit "h-" in duration "1h-2m"'],
    ['1toString', 'unknown unit "toString" in duration "1toString"'],
    ['s', 'invalid duration "s"'],
    ['.s', 'invalid duration ".s"'],
    ['9999999999h', 'invalid duration "9999999999h"'],
    [long, `missing unit in duration "${long}"`],
  ]
  for (const [text, why] of bad) {
    assert.throws(() => parseDurationNs(text), { name: 'RangeError', message: `time: ${why}` })
  }
  fc.assert(
    fc.property(
      fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n }),
      ns => parseDurationNs(formatDurationNs(ns)) === ns,
    ),
  )
})

test('bytes compare bytewise and survive hex', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array(), (a, b) => {
      assert.deepEqual(fromHex(toHex(a)), a)
      const byHex = toHex(a) < toHex(b) ? -1 : toHex(a) > toHex(b) ? 1 : 0
      assert.equal(Math.sign(compareBytes(a, b)), byHex)
    }),
  )
  assert.throws(() => fromHex('abc'), RangeError)
})

test('a coded error carries its code, data and cause', () => {
  const cause = new Error('disk')
  const error = new CodedError('it broke', { code: 'BROKEN' as const, part: 7 }, { cause })
  assert.equal(errorCode(error), 'BROKEN')
  assert.equal(error.data.part, 7)
  assert.equal(error.cause, cause)
  assert.equal(errorCode('text'), undefined)
})

test('the clock never gives the same nanosecond twice', () => {
  let last = systemClock.nowNs()
  for (let i = 0; i < 10_000; i++) {
    const next = systemClock.nowNs()
    assert.ok(next > last)
    last = next
  }
})

test('the clock follows the system clock when that is set', t => {
  const before = systemClock.nowNs()
  const real = Date.now
  const hour = 3_600_000
  t.mock.method(Date, 'now', () => real() + hour)
  const ahead = systemClock.nowNs() - before
  assert.ok(ahead > BigInt(hour - 60_000) * 1_000_000n, `${ahead} ns ahead`)
  t.mock.method(Date, 'now', () => real() - hour)
  const back = before - systemClock.nowNs()
  assert.ok(back > BigInt(hour - 60_000) * 1_000_000n, `${back} ns back`)
})

test('a channel holds the producer back, ends, fails and may be abandoned', async () => {
  const channel = new Channel<number>(2)
  assert.ok(await channel.push(1))
  assert.ok(await channel.push(2))
  assert.equal(channel.tryPush(3), false)
  let pushed = false
  const third = channel.push(3).then(ok => (pushed = ok))
  await new Promise(setImmediate)
  assert.equal(pushed, false)
  const seen: number[] = []
  for await (const item of channel) {
    seen.push(item)
    if (item === 3) break
  }
  assert.equal(await third, true)
  assert.deepEqual(seen, [1, 2, 3])
  assert.equal(await channel.push(4), false)

  const failing = new Channel<number>(2)
  await failing.push(1)
  failing.fail(new Error('no more'))
  const read: number[] = []
  await assert.rejects(async () => {
    for await (const item of failing) read.push(item)
  }, /no more/)
  assert.deepEqual(read, [1])
})

test('a limiter admits its limit, in order, and forgets those who gave up', async () => {
  const limiter = new Limiter(2)
  const gates = Array.from({ length: 4 }, () => Promise.withResolvers<void>())
  const started: number[] = []
  const run = (i: number, signal?: AbortSignal) =>
    limiter.run(
      async () => {
        started.push(i)
        await gates[i]?.promise
      },
      { signal },
    )
  const controller = new AbortController()
  const runs = [run(0), run(1), run(2, controller.signal), run(3)]
  await Promise.resolve()
  assert.deepEqual(started, [0, 1])
  controller.abort(new Error('gave up'))
  await assert.rejects(runs[2] as Promise<void>, /gave up/)
  gates[0]?.resolve()
  await runs[0]
  gates[3]?.resolve()
  await runs[3]
  gates[1]?.resolve()
  await runs[1]
  assert.deepEqual(started, [0, 1, 3])
  assert.equal(limiter.active, 0)
})

test('a limiter whose limit changes admits as many as it says by then', async () => {
  let limit = 3
  const limiter = new Limiter(() => limit)
  const gates = Array.from({ length: 6 }, () => Promise.withResolvers<void>())
  const runs = gates.map(gate => limiter.run(() => gate.promise))
  const active: number[] = []
  const end = async (i: number) => {
    gates[i]?.resolve()
    await runs[i]
    active.push(limiter.active)
  }
  limit = 1
  await end(0)
  await end(1)
  await end(2)
  limit = 2
  await end(3)
  await Promise.all([end(4), end(5)])
  assert.deepEqual(active.slice(0, 4), [2, 1, 1, 2])
  assert.equal(limiter.active, 0)
})

test('a keyed lock serialises a key and leaves nothing behind', async () => {
  const lock = new KeyedLock()
  const log: string[] = []
  const gate = Promise.withResolvers<void>()
  const first = lock.run('a', async () => {
    await gate.promise
    log.push('a1')
  })
  const second = lock.run('a', async () => void log.push('a2'))
  await lock.run('b', async () => void log.push('b'))
  gate.resolve()
  await Promise.all([first, second])
  assert.deepEqual(log, ['b', 'a1', 'a2'])
})

test('mapConcurrent bounds the calls under way and yields every result', async () => {
  let active = 0
  let peak = 0
  const results = await Array.fromAsync(
    mapConcurrent(
      Array.from({ length: 50 }, (_, i) => i),
      4,
      async i => {
        peak = Math.max(peak, ++active)
        await new Promise(resolve => setImmediate(resolve))
        active--
        return i * 2
      },
    ),
  )
  assert.equal(peak, 4)
  assert.deepEqual(
    results.sort((a, b) => a - b),
    Array.from({ length: 50 }, (_, i) => i * 2),
  )
})

test('a task scope aborts its tasks and waits for them', async () => {
  const scope = createTaskScope(silentLogger)
  let ended = false
  scope.run('task', async signal => {
    await systemClock.sleep(60_000, { signal }).catch(() => undefined)
    await new Promise(resolve => setImmediate(resolve))
    ended = true
  })
  await new Promise(resolve => setImmediate(resolve))
  await scope[Symbol.asyncDispose]()
  assert.ok(ended)
  scope.run('late', async () => assert.fail('must not start'))
})
