import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTextLogger, parseLogLevels } from './logging.ts'

test('levels are set for all facilities or for one', () => {
  const lines: string[] = []
  const logger = createTextLogger(line => lines.push(line), parseLogLevels('warn,crdt:debug'))
  logger.info('quiet')
  logger.warn({ n: 1n, cid: 'x' }, 'two\nlines')
  logger.child('crdt').debug({}, 'merged')
  logger.child('other').info('quiet')
  assert.equal(lines.length, 2)
  assert.match(
    lines[0] ?? '',
    /^\d{4}-\d\d-\d\dT[\d:.]+Z\tWARN\tservice\ttwo lines\t\{"n":"1","cid":"x"\}\n$/,
  )
  assert.match(lines[1] ?? '', /\tDEBUG\tcrdt\tmerged\n$/)
})

test('an unknown level is refused with what is allowed', () => {
  for (const text of ['loud', 'a:b:info', 'crdt:']) {
    assert.throws(() => parseLogLevels(text), {
      code: 'BAD_LOG_LEVEL',
      message: /debug, info, warn or error/,
    })
  }
  assert.equal(parseLogLevels('').default, 'info')
  assert.equal(parseLogLevels('FATAL').default, 'error')
})
