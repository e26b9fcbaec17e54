import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { prepare, encode } from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import type { CID } from 'multiformats/cid'
import type { RpcNode } from '../details.ts'
import { add, block, bytes, file } from '../test-node.ts'
import type { Block } from '../types.ts'
import { startRpc } from './test-rpc.ts'

const DAG_PB = 0x70

/** A directory with these names, whatever they are. */
function directoryBlock(entries: readonly (readonly [name: string, cid: CID])[]): Block {
  const links = entries.map(([Name, Hash]) => ({ Name, Hash, Tsize: 1 }))
  return block(encode(prepare({ Data: new UnixFS({ type: 'directory' }).marshal(), Links: links })), DAG_PB)
}

async function directory(
  node: RpcNode,
  entries: readonly (readonly [name: string, cid: CID])[],
): Promise<CID> {
  const made = directoryBlock(entries)
  await node.blocks.put([made])
  return made.cid
}

async function symlink(node: RpcNode, target: string): Promise<CID> {
  const data = new UnixFS({ type: 'symlink', data: new TextEncoder().encode(target) }).marshal()
  const made = block(encode(prepare({ Data: data })), DAG_PB)
  await node.blocks.put([made])
  return made.cid
}

/** Names, types and contents of a TAR archive, read by its headers. */
function untar(tar: Buffer): { readonly name: string; readonly type: string; readonly content: string }[] {
  const entries: { name: string; type: string; content: string }[] = []
  let long: string | undefined
  let at = 0
  while (tar[at] !== 0) {
    const header = tar.subarray(at, at + 512)
    const field = (from: number, length: number) =>
      header
        .subarray(from, from + length)
        .toString()
        .replace(/\0.*$/s, '')
    const sum = header.reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 0x20 : byte), 0)
    assert.equal(Number.parseInt(field(148, 7), 8), sum)
    const size = Number.parseInt(field(124, 12), 8)
    const content = tar.subarray(at + 512, at + 512 + size).toString()
    at += 512 + Math.ceil(size / 512) * 512
    const type = field(156, 1)
    if (type === 'x') {
      long = /\d+ path=(.*)\n/.exec(content)?.[1]
      continue
    }
    entries.push({ name: long ?? field(0, 100), type, content: type === '2' ? field(157, 100) : content })
    long = undefined
  }
  assert.equal(tar.length - at, 1024)
  return entries
}

test('cat joins files, and cuts what comes out', async t => {
  const { node, post } = await startRpc(t)
  const [a, b] = [await add(node, file('a', 'hello ')), await add(node, file('b', 'world'))]
  const cases: readonly (readonly [string, string])[] = [
    ['', 'hello world'],
    ['&offset=3', 'lo world'],
    ['&offset=6', 'world'],
    ['&offset=7&length=2', 'or'],
    ['&length=8', 'hello wo'],
    ['&length=0', ''],
    ['&offset=100', ''],
    ['&o=1&l=2', 'el'],
  ]
  for (const [query, expected] of cases) {
    const { text, headers } = await post(`/cat?arg=${a}&arg=/ipfs/${b}${query}`)
    assert.equal(text, expected, query)
    assert.equal(headers['x-content-length'], String(expected.length))
    assert.equal(headers['x-stream-output'], '1')
    assert.equal(headers['content-type'], 'text/plain')
  }
  for (const form of [`ipfs://${a}`, `ipfs:${a}`, `/ipld/${a}`, `${a}/.`, `/ipfs//${a}/`]) {
    assert.equal((await post(`/cat?arg=${encodeURIComponent(form)}`)).text, 'hello ', form)
  }
})

test('ls tells types and sizes, at once or as a stream', async t => {
  const { node, post } = await startRpc(t)
  const big = await add(node, file('big', bytes(600_000)))
  const link = await symlink(node, '../target')
  const sub = await directory(node, [])
  const raw = block('raw')
  await node.blocks.put([raw])
  const root = await directory(node, [
    ['z', raw.cid],
    ['a', big],
    ['l', link],
    ['s', sub],
  ])
  const [answer] = (await post(`/ls?arg=${root}`)).lines as [{ Objects: { Hash: string; Links: object[] }[] }]
  const common = { Mode: 0, ModTime: '0001-01-01T00:00:00Z' }
  assert.deepEqual(answer.Objects, [
    {
      Hash: root.toString(),
      Links: [
        { Name: 'a', Hash: big.toString(), Size: 600_000, Type: 2, Target: '', ...common },
        { Name: 'l', Hash: link.toString(), Size: 9, Type: 4, Target: '../target', ...common },
        { Name: 's', Hash: sub.toString(), Size: 0, Type: 1, Target: '', ...common },
        { Name: 'z', Hash: raw.cid.toString(), Size: 1, Type: 2, Target: '', ...common },
      ],
    },
  ])
  const streamed = await post(`/ls?arg=${root}&stream=true`)
  assert.equal(streamed.headers['x-chunked-output'], '1')
  assert.equal(streamed.lines.length, 4)
  const [plain] = (await post(`/ls?arg=${root}&size=false&resolve-type=false`)).lines as (typeof answer)[]
  assert.deepEqual(
    plain?.Objects[0]?.Links.map(each => (each as { Type: number }).Type),
    [0, 0, 0, 2],
  )
  const [parts] = (await post(`/ls?arg=${big}`)).lines as (typeof answer)[]
  assert.equal(parts?.Objects[0]?.Links.length, 3)
  const [based] = (await post(`/ls?arg=${root}&cid-base=base36`)).lines as (typeof answer)[]
  assert.match(JSON.stringify(based), /"Hash":"k2/)
})

test('files/stat of what /ipfs names', async t => {
  const { node, post } = await startRpc(t)
  const big = await add(node, file('big', bytes(600_000)))
  const root = await directory(node, [['big', big]])
  assert.deepEqual((await post(`/files/stat?arg=/ipfs/${root}/big&with-local=true`)).lines, [
    {
      Hash: big.toString(),
      Size: 600_000,
      CumulativeSize: 600_194,
      Blocks: 3,
      Type: 'file',
      WithLocality: true,
      Local: true,
      SizeLocal: 600_194,
    },
  ])
  const [stat] = (await post(`/files/stat?arg=/ipfs/${root}`)).lines as [
    { Size: number; Blocks: number; Type: string },
  ]
  assert.deepEqual([stat.Size, stat.Blocks, stat.Type], [0, 1, 'directory'])
})

test('get gives an archive of files, folders and symlinks', async t => {
  const { node, post } = await startRpc(t)
  const long = `${'long'.repeat(40)} ü`
  const a = await add(node, file('a', 'content'))
  const empty = await add(node, file('e', ''))
  const root = await directory(node, [
    ['a', a],
    ['empty', empty],
    ['folder', await directory(node, [[long, a]])],
    ['link', await symlink(node, 'a')],
  ])
  const answer = await post(`/get?arg=${root}`)
  assert.equal(answer.headers['content-type'], 'application/x-tar')
  const expected = [
    [`${root}`, '5', ''],
    [`${root}/a`, '0', 'content'],
    [`${root}/empty`, '0', ''],
    [`${root}/folder`, '5', ''],
    [`${root}/folder/${long}`, '0', 'content'],
    [`${root}/link`, '2', 'a'],
  ]
  assert.deepEqual(
    untar(answer.body).map(({ name, type, content }) => [name, type, content]),
    expected,
  )
  const packed = await post(`/get?arg=${root}&archive=true&compress=true`)
  assert.equal(packed.headers['content-type'], 'application/gzip')
  assert.equal(untar(gunzipSync(packed.body)).length, expected.length)
  const single = await post(`/get?arg=${root}/a&compress=true&compression-level=1`)
  assert.equal(gunzipSync(single.body).toString(), 'content')
  assert.deepEqual(untar((await post(`/get?arg=${root}/a`)).body), [
    { name: 'a', type: '0', content: 'content' },
  ])
})

test('names that lead out of a folder never come into an archive', async t => {
  const { node, post } = await startRpc(t)
  const a = await add(node, file('a', 'content'))
  for (const name of ['..', '.', '', '../x', '/etc/x', 'a\0b']) {
    const root = await directory(node, [[name, a]])
    const answer = await post(`/get?arg=${root}`)
    const told = answer.status === 500 ? answer.message : String(answer.trailers['x-stream-error'])
    assert.match(told, /a name that no file can have|not UnixFS/, JSON.stringify(name))
    assert.ok(!answer.body.includes('content'))
  }
})

test('folders without end in depth are cut', async t => {
  const { node, post } = await startRpc(t)
  const nested = [directoryBlock([])]
  for (let i = 0; i < 1100; i++) nested.push(directoryBlock([['d', (nested[i] as Block).cid]]))
  await node.blocks.put(nested)
  const cid = nested.at(-1)?.cid
  const got = await post(`/get?arg=${cid}`)
  assert.match(String(got.trailers['x-stream-error']), /directories more than 1024 deep/)
  const told = (await post(`/refs?arg=${cid}&recursive=true`)).lines as { Ref: string; Err: string }[]
  assert.match(told.at(-1)?.Err ?? '', /links more than 1024 deep/)
})
