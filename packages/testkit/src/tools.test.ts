import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createManualClock } from './manual-clock.ts'
import { runProcess, startProcess } from './process.ts'
import { waitFor } from './wait-for.ts'

describe('createManualClock', () => {
  it('stands still, and fires what is due in its order', async () => {
    const clock = createManualClock(1000)
    const fired: number[] = []
    for (const ms of [300, 100, 200]) void clock.sleep(ms).then(() => fired.push(clock.now()))
    const timeout = clock.timeout(250)
    await clock.advance(99)
    assert.deepEqual([clock.now(), clock.monotonic(), fired.length], [1099, 99, 0])
    await clock.advance(150)
    assert.deepEqual(fired, [1100, 1200])
    assert.equal(timeout.aborted, false)
    await clock.advance(1)
    assert.equal(timeout.reason.name, 'TimeoutError')
    assert.equal(clock.pending, 1)
  })

  it('lets what is woken sleep again within the same advance', async () => {
    const clock = createManualClock()
    let ticks = 0
    const tick = async () => {
      for (; ticks < 10; ticks++) await clock.sleep(10)
    }
    const ticking = tick()
    await clock.advance(100)
    await ticking
    assert.equal(ticks, 10)
  })

  it('wakes a sleeper whose signal fires, and gives rising nanoseconds', async () => {
    const clock = createManualClock()
    const stop = new AbortController()
    const sleeping = clock.sleep(10, { signal: stop.signal })
    stop.abort(new Error('enough'))
    await assert.rejects(sleeping, /enough/)
    assert.equal(clock.pending, 0)
    assert.ok(clock.nowNs() < clock.nowNs())
  })
})

describe('waitFor', () => {
  it('waits for a value, taking failures as not yet', async () => {
    let looks = 0
    const value = await waitFor(() => {
      if (++looks === 1) throw new Error('too early')
      return looks > 2 && 'there'
    })
    assert.equal(value, 'there')
  })

  it('says what did not come and why', async () => {
    const failing = () => assert.equal(1, 2, 'one is not two')
    await assert.rejects(
      waitFor(failing, { timeoutMs: 20, what: 'equality' }),
      /equality .* 20 ms: one is not two/,
    )
  })
})

describe('startProcess', () => {
  const script = (code: string) => [process.execPath, ['-e', code]] as const

  it('waits for the output that says ready, and stops the process at the end', async () => {
    const [command, args] = script('console.log("port 1234 is open"); setInterval(() => {}, 1000)')
    let exited
    {
      await using child = await startProcess(command, args, { ready: /port (\d+)/ })
      assert.equal(child.readyMatch?.[1], '1234')
      exited = child.exited
    }
    assert.equal((await exited).signal, 'SIGTERM')
  })

  it('kills a process that does not stop when asked', async () => {
    const [command, args] = script(
      'process.on("SIGTERM", () => {}); console.log("up"); setInterval(() => {}, 1000)',
    )
    const child = await startProcess(command, args, { ready: /up/, stopTimeoutMs: 50 })
    await child[Symbol.asyncDispose]()
    await child[Symbol.asyncDispose]()
    assert.equal((await child.exited).signal, 'SIGKILL')
  })

  it('passes environment and input, and keeps both outputs', async () => {
    const [command, args] = script(
      'process.stdin.pipe(process.stdout); console.error(process.env.GREETING); process.exitCode = 3',
    )
    const result = await runProcess(command, args, { env: { GREETING: 'hello' }, input: 'text' })
    assert.deepEqual(result, { code: 3, signal: null, stdout: 'text', stderr: 'hello\n' })
  })

  it('reports a program that ends too soon or cannot be started', async () => {
    const [command, args] = script('console.error("bad luck"); process.exit(1)')
    await assert.rejects(startProcess(command, args, { ready: /ready/ }), /did not start[^]*bad luck/)
    await assert.rejects(startProcess('/nonexistent/program', []), { code: 'ENOENT' })
  })

  it('keeps the end of a long output', async () => {
    const [command, args] = script("for (let i = 0; i < 5000; i++) console.log(i); console.log('end')")
    const { code, stdout } = await runProcess(command, args, { keptChars: 1000 })
    assert.equal(code, 0)
    assert.match(stdout, /4998\n4999\nend\n$/)
    assert.ok(stdout.length >= 1000 && stdout.length <= 2000, `${stdout.length} characters`)
  })
})
