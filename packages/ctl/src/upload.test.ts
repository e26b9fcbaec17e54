import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { AddedOutput, RouteHandlers } from '@ipfs-cluster/api'
import { serveRoutes } from '@ipfs-cluster/api/test-server'
import type { Io } from './io.ts'
import { nodeFiles } from './node-files.ts'
import { V1 } from './test-peer.ts'
import { ctl, hostOf } from './test-run.ts'

/** What arrived of `ctl add <words>`: the format, and the parts. */
async function sent(words: readonly string[], changes: Partial<Io> = {}) {
  const parts: string[] = []
  let format = ''
  async function* add(input: Parameters<RouteHandlers['add']>[0]): AsyncGenerator<AddedOutput> {
    format = input.params.format
    for await (const { kind, path, content } of input.parts) {
      parts.push(`${kind} ${path}=${Buffer.concat(await Array.fromAsync(content)).toString()}`)
    }
    yield { name: '', cid: V1, bytes: 0n, size: 0n, allocations: [] }
  }
  await using server = await serveRoutes({ add })
  const outcome = await ctl(['--host', hostOf(server.url), 'add', ...words], changes)
  return { ...outcome, format, parts }
}

async function* stdin() {
  yield Buffer.from('from ')
  yield Buffer.from('a pipe')
}

test('- is standard input, also for a CAR', async () => {
  const plain = await sent(['-'], { stdin })
  assert.deepEqual([plain.code, plain.format, plain.parts], [0, 'unixfs', ['file =from a pipe']])
  const car = await sent(['--format=car', '-'], { stdin })
  assert.deepEqual([car.code, car.format, car.parts], [0, 'car', ['file =from a pipe']])
})

test('standard input is read only once', async () => {
  const { code, stderr, parts } = await sent(['-', '-'], { stdin })
  assert.deepEqual([code, stderr, parts], [1, 'error : standard input (-) can be read only once\n', []])
})

test('entries of a folder come in the order of the bytes of their names', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ctl-order-'))
  try {
    // As UTF-16, the emoji comes before the tilde.
    for (const name of ['😀', '\uFF5E', 'é', 'z', 'B']) await writeFile(join(folder, name), '')
    const { parts } = await sent(['-r', folder])
    const names = parts.slice(1).map(part => part.split('/').at(-1))
    assert.deepEqual(names, ['B=', 'z=', 'é=', '\uFF5E=', '😀='])
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('a name that is not UTF-8 is refused by name', { skip: process.platform !== 'linux' }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ctl-names-'))
  try {
    await writeFile(Buffer.concat([Buffer.from(`${folder}/caf`), Buffer.of(0xe9)]), '')
    const { code, stderr } = await sent(['-r', folder])
    assert.equal(code, 1)
    assert.match(
      stderr,
      /the name of .*\/caf\uFFFD is perhaps not UTF-8, and such names cannot be added: rename it/,
    )
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('a folder of 20,000 files is sent as it is read', async () => {
  const count = 20_000
  const names = Array.from({ length: count }, (_, index) => `${index}`)
  let [open, most] = [0, 0]
  const files: Io['files'] = {
    ...nodeFiles,
    kind: async path => (path === 'wide' ? 'directory' : 'file'),
    names: async () => names,
    async *read() {
      most = Math.max(most, ++open)
      yield Buffer.from('x')
      open--
    },
  }
  const { code, parts } = await sent(['-r', '-Q', 'wide'], { files })
  assert.deepEqual([code, parts.length, most], [0, count + 1, 1])
})
