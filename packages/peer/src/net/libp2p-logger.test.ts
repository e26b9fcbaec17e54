import assert from 'node:assert/strict'
import { test } from 'node:test'
import { multiaddr } from '@multiformats/multiaddr'
import { silentLogger, type LogMethod, type Logger } from '@ipfs-cluster/base'
import { libp2pLogger } from './libp2p-logger.ts'

test('libp2p logs at debug under its own facility, with its formats', () => {
  const lines: string[] = []
  const write = (facility: string): LogMethod => {
    const method = (fields: unknown) => void lines.push(`${facility} ${JSON.stringify(fields)}`)
    return method
  }
  const logger: Logger = { ...silentLogger, child: facility => ({ ...silentLogger, debug: write(facility) }) }
  const log = libp2pLogger(logger).forComponent('libp2p:tcp')
  log('dialling %a for %d ms with %o', multiaddr('/ip4/127.0.0.1/tcp/1'), 5, { a: 1 })
  log.error('failed - %e', new Error('broken'))
  log.newScope('stream').trace('nothing')
  log.newScope('stream')(new Error('bare'))
  assert.equal(lines.length, 3)
  assert.equal(
    lines[0],
    'libp2p {"component":"libp2p:tcp","text":"dialling /ip4/127.0.0.1/tcp/1 for 5 ms with { a: 1 }"}',
  )
  assert.match(lines[1] ?? '', /"text":"failed - broken"/)
  assert.match(lines[2] ?? '', /"component":"libp2p:tcp:stream","text":"Error: bare/)
})

test('texts that nobody reads are never put together', () => {
  let formatted = 0
  const logger: Logger = { ...silentLogger, child: () => silentLogger }
  libp2pLogger(logger).forComponent('c')('%s', { toString: () => String(formatted++) })
  assert.equal(formatted, 0)
})
