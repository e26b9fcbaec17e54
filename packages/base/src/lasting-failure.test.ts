import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LastingFailure } from './lasting-failure.ts'
import { silentLogger, type LogMethod } from './logger.ts'

test('a failure is told once, again after a minute or with another reason, and when it is over', () => {
  const lines: string[] = []
  const log =
    (level: string): LogMethod =>
    (...args: unknown[]) =>
      void lines.push(`${level} ${String(args.at(-1))}`)
  const logger = { ...silentLogger, error: log('error'), info: log('info') }
  let now = 0
  const trouble = new LastingFailure(logger, { monotonic: () => now })
  trouble.succeeded('works')
  for (; now < 61_000; now += 1_000) trouble.failed({}, 'disk full')
  trouble.failed({}, 'disk gone')
  trouble.succeeded('works')
  trouble.succeeded('works')
  trouble.failed({}, 'disk gone')
  assert.deepEqual(lines, [
    'error disk full',
    'error disk full',
    'error disk gone',
    'info works',
    'error disk gone',
  ])
})
