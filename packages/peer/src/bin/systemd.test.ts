import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { silentLogger, type Logger } from '@ipfs-cluster/base'
import { loadFfi } from './c-library.ts'
import { createNotify, unixAddress } from './systemd.ts'

const root = mkdtempSync(join(tmpdir(), 'notify-'))
after(() => rmSync(root, { recursive: true }))

const ffi = loadFfi()
const skip = ffi === undefined && 'this Node has no node:ffi'

/** A datagram socket as systemd has one; `received` does not wait. */
function listen(name: string) {
  assert.ok(ffi)
  const library = ffi.dlopen(null, {
    socket: { arguments: ['i32', 'i32', 'i32'], return: 'i32' },
    bind: { arguments: ['i32', 'pointer', 'u32'], return: 'i32' },
    recv: { arguments: ['i32', 'pointer', 'u64', 'i32'], return: 'i64' },
    close: { arguments: ['i32'], return: 'i32' },
  })
  const { functions } = library
  const fd = functions.socket(1, 2, 0)
  const address = unixAddress(name)
  assert.equal(functions.bind(fd, address, address.length), 0)
  return {
    received() {
      const buffer = Buffer.alloc(100)
      const DONT_WAIT = 0x40
      const length = Number(functions.recv(fd, buffer, 100n, DONT_WAIT))
      return length < 0 ? undefined : buffer.toString('utf8', 0, length)
    },
    [Symbol.dispose]() {
      functions.close(fd)
      library[Symbol.dispose]()
    },
  }
}

for (const [what, name] of [
  ['a path', join(root, 'notify')],
  ['an abstract name', `@ipfs-cluster-test-${process.pid}`],
] as const) {
  test(`systemd is told at ${what}`, { skip }, async () => {
    using socket = listen(name)
    const notify = createNotify({ NOTIFY_SOCKET: name }, silentLogger)
    assert.equal(socket.received(), undefined)
    await notify('READY=1')
    await notify('STOPPING=1')
    assert.equal(socket.received(), 'READY=1')
    assert.equal(socket.received(), 'STOPPING=1')
    assert.equal(socket.received(), undefined)
  })
}

test('without a socket nobody is told; one that does not answer is logged', { skip }, async () => {
  const warnings: unknown[] = []
  const logger: Logger = { ...silentLogger, warn: (fields: unknown) => void warnings.push(fields) }
  await createNotify({}, logger)('READY=1')
  await createNotify({ NOTIFY_SOCKET: '' }, logger)('READY=1')
  assert.deepEqual(warnings, [])
  for (const socket of [join(root, 'none'), 'vsock:1', `/${'x'.repeat(200)}`]) {
    warnings.length = 0
    await createNotify({ NOTIFY_SOCKET: socket }, logger)('READY=1')
    assert.equal(warnings.length, 1, socket)
    assert.match(JSON.stringify(warnings[0]), /"state":"READY=1","socket":.*"error":".+"/)
  }
})
