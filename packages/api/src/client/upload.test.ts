import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { CID } from 'multiformats/cid'
import type { AddedOutput, AddPart } from '../index.ts'
import { serveRoutes } from '../test-server.ts'
import {
  createClient,
  createFetchTransport,
  fileParts,
  filePart,
  type FileContent,
  type UploadProgress,
} from './index.ts'
import { createNodeTransport, pathParts } from './node.ts'

const cid = CID.parse('QmbrCtydGyPeHiLURSPMqrvE5mCgMCwFYq3UD4XLCeAYw6')

/** Says what the server got: one output a part, `kind:path=content`. */
async function* echo(parts: AsyncIterable<AddPart>): AsyncGenerator<AddedOutput> {
  for await (const { kind, path, content } of parts) {
    const text = Buffer.concat(await Array.fromAsync(content)).toString()
    yield { name: `${kind}:${path}=${text}`, cid, bytes: 0n, size: 0n, allocations: [] }
  }
}

const names = (outputs: readonly AddedOutput[]) => outputs.map(output => output.name)

async function* chunks(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text)
}

const transports = { node: createNodeTransport(), fetch: createFetchTransport() }

for (const [name, transport] of Object.entries(transports)) {
  test(`${name}: whatever holds bytes can be a file`, async () => {
    await using server = await serveRoutes({ add: ({ parts }) => echo(parts) })
    const client = createClient({ hosts: [server.url] }, { transport })
    const contents: FileContent[] = [
      'täxt',
      Buffer.from('bytes'),
      new Blob(['a', ' blob']),
      new File(['a file'], 'ignored'),
      new Blob(['a stream']).stream(),
      chunks('many ', 'chunks'),
      '',
    ]
    const parts = contents.map((content, i) => filePart(`d/${i}`, content))
    assert.deepEqual(names(await Array.fromAsync(client.add({ parts }))), [
      'file:d/0=täxt',
      'file:d/1=bytes',
      'file:d/2=a blob',
      'file:d/3=a file',
      'file:d/4=a stream',
      'file:d/5=many chunks',
      'file:d/6=',
    ])
  })

  test(`${name}: progress counts the bytes of each part and of all`, async () => {
    await using server = await serveRoutes({ add: ({ parts }) => echo(parts) })
    const client = createClient({ hosts: [server.url] }, { transport })
    const seen: UploadProgress[] = []
    const parts = [filePart('a', chunks('12', '345')), filePart('b', '6')]
    await Array.fromAsync(client.add({ parts, onProgress: progress => seen.push(progress) }))
    assert.deepEqual(seen, [
      { path: 'a', bytes: 0, totalBytes: 0 },
      { path: 'a', bytes: 2, totalBytes: 2 },
      { path: 'a', bytes: 5, totalBytes: 5 },
      { path: 'b', bytes: 0, totalBytes: 5 },
      { path: 'b', bytes: 1, totalBytes: 6 },
    ])
  })
}

test('files of a chosen folder keep their place in it', () => {
  const inFolder = new File([''], 'x.txt')
  Object.defineProperty(inFolder, 'webkitRelativePath', { value: 'photos/2024/x.txt' })
  const parts = fileParts([inFolder, new File([''], 'y.txt')])
  assert.deepEqual(
    parts.map(part => part.path),
    ['photos/2024/x.txt', 'y.txt'],
  )
})

test('a stream that is not read to its end is told', async () => {
  const cancelled = Promise.withResolvers<void>()
  const endless = new ReadableStream<Uint8Array>({
    pull: controller => controller.enqueue(new Uint8Array(10)),
    cancel: () => cancelled.resolve(),
  })
  for await (const chunk of filePart('x', endless).content) {
    assert.equal(chunk.length, 10)
    break
  }
  await cancelled.promise
})

test('paths: folders before what is in them, in order of names; dots and symlinks', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'api-paths-'))
  try {
    await mkdir(join(folder, 'd', 'sub'), { recursive: true })
    await writeFile(join(folder, 'd', 'sub', 'f'), 'F')
    await writeFile(join(folder, 'd', 'b'), 'B')
    await writeFile(join(folder, 'd', '.dot'), 'D')
    await symlink('b', join(folder, 'd', 'a'))
    const list = async (paths: string | string[], options?: { hidden?: boolean; recursive?: boolean }) =>
      names(await Array.fromAsync(echo(pathParts(paths, options))))
    const shown = ['symlink:d/a=b', 'file:d/b=B', 'directory:d/sub=', 'file:d/sub/f=F']
    assert.deepEqual(await list(join(folder, 'd')), ['directory:d=', ...shown])
    assert.deepEqual(await list(join(folder, 'd/'), { hidden: true }), [
      'directory:d=',
      'file:d/.dot=D',
      ...shown,
    ])
    assert.deepEqual(await list([join(folder, 'd/b'), join(folder, 'd/sub/f')]), ['file:b=B', 'file:f=F'])
    await assert.rejects(list(join(folder, 'd'), { recursive: false }), /set recursive/)
    await assert.rejects(list(join(folder, 'none')), { code: 'ENOENT' })
    await assert.rejects(list('/dev/null'), /neither file, folder nor symlink/)
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('an upload that was touched is never sent again', async () => {
  // Reads a little of the upload and breaks the connection.
  const breaking = net.createServer(socket => {
    socket.on('error', () => undefined)
    socket.once('data', () => socket.destroy())
  })
  await new Promise<void>(resolve => breaking.listen(0, '127.0.0.1', resolve))
  await using good = await serveRoutes({ add: ({ parts }) => echo(parts), version: () => ({ version: 'x' }) })
  const bad = `http://127.0.0.1:${(breaking.address() as AddressInfo).port}`
  try {
    for (const transport of Object.values(transports)) {
      const client = createClient({ hosts: [bad, good.url], tries: 4 }, { transport })
      const parts = [filePart('a', 'content')]
      await assert.rejects(Array.fromAsync(client.add({ parts })), { code: 'API_UNREACHABLE' })
      assert.equal(good.requests.length, 0)
    }
    const client = createClient({ hosts: [bad, good.url] }, { transport: transports.node })
    assert.deepEqual(await client.version(), { version: 'x' })
  } finally {
    breaking.close()
  }
})
