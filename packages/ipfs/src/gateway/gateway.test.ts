import assert from 'node:assert/strict'
import { request } from 'node:http'
import { test, type TestContext } from 'node:test'
import { CarReader } from '@ipld/car/reader'
import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { silentLogger, systemClock } from '@ipfs-cluster/base'
import { matches } from '../blocks/hash.ts'
import { blockMissing } from '../errors.ts'
import { add, block, bytes, connect, file, startNode } from '../test-node.ts'
import type { IpfsNode, IpfsNodeConfig } from '../types.ts'
import { createGateway } from './gateway.ts'

const BIG = bytes(700_000)

async function withGateway(t: TestContext, config: Partial<IpfsNodeConfig> = {}): Promise<IpfsNode> {
  return await startNode(t, { gateway: '/ip4/127.0.0.1/tcp/0', ...config })
}

/** A site on `node`. */
async function site(node: IpfsNode): Promise<CID> {
  return await add(
    node,
    file('site/big.bin', BIG),
    file('site/web/index.html', '<h1>hello</h1>'),
    file('site/web/style', 'body {}'),
    file('site/<b>&"\'.txt', 'odd'),
    file('site/100% ü?.txt', 'percent'),
    file('site/page', '<!DOCTYPE html><p>'),
    file('site/binary', new Uint8Array([0, 1, 2, 3])),
  )
}

const get = (node: IpfsNode, path: string, init: RequestInit = {}) =>
  fetch(`${node.gatewayUrl}${path}`, { redirect: 'manual', ...init })

test('content that this node lacks is fetched from others', async t => {
  const [source, node] = await Promise.all([startNode(t), withGateway(t)])
  const root = await site(source)
  await connect(node, source)
  const response = await get(node, `/ipfs/${root}/big.bin`)
  assert.equal(response.status, 200)
  assert.deepEqual(Buffer.from(await response.arrayBuffer()), BIG)
  const { headers } = response
  assert.equal(headers.get('content-length'), '700000')
  assert.equal(headers.get('content-type'), 'application/octet-stream')
  assert.equal(headers.get('x-ipfs-path'), `/ipfs/${root}/big.bin`)
  assert.equal(headers.get('cache-control'), 'public, max-age=29030400, immutable')
  assert.equal(headers.get('etag'), `"${await source.resolve(`${root}/big.bin`)}"`)
})

test('types, indexes, listings', async t => {
  const node = await withGateway(t)
  const root = await site(node)
  const typeOf = async (path: string) =>
    (await get(node, `/ipfs/${root}/${path}`)).headers.get('content-type')
  assert.equal(await typeOf('page'), 'text/html; charset=utf-8')
  assert.equal(await typeOf('web/style'), 'text/plain; charset=utf-8')
  assert.equal(await typeOf('binary'), 'application/octet-stream')

  const moved = await get(node, `/ipfs/${root}/web?a=b`)
  assert.equal(moved.status, 301)
  assert.equal(moved.headers.get('location'), `/ipfs/${root}/web/?a=b`)
  assert.equal(await (await get(node, `/ipfs/${root}/web/`)).text(), '<h1>hello</h1>')

  const listing = await get(node, `/ipfs/${root}/`)
  assert.equal(listing.headers.get('content-type'), 'text/html; charset=utf-8')
  const html = await listing.text()
  assert.ok(html.includes('&lt;b&gt;&amp;&quot;&#39;.txt') && !html.includes('<b>'))
  const link = /href="([^"]*100[^"]*)"/.exec(html)?.[1] ?? ''
  assert.equal(await (await get(node, link)).text(), 'percent')
})

test('ranges', async t => {
  const node = await withGateway(t)
  const root = await site(node)
  const ranged = (range: string, more: Record<string, string> = {}) =>
    get(node, `/ipfs/${root}/big.bin`, { headers: { range, ...more } })
  for (const [range, from, to] of [
    ['bytes=0-0', 0, 1],
    ['bytes=262100-262200', 262_100, 262_201],
    ['bytes=600000-', 600_000, 700_000],
    ['bytes=-5', 699_995, 700_000],
    ['bytes=5-99999999', 5, 700_000],
  ] as const) {
    const response = await ranged(range)
    assert.equal(response.status, 206, range)
    assert.equal(response.headers.get('content-range'), `bytes ${from}-${to - 1}/700000`)
    assert.deepEqual(Buffer.from(await response.arrayBuffer()), BIG.subarray(from, to))
  }
  const outside = await ranged('bytes=700000-')
  assert.equal(outside.status, 416)
  assert.equal(outside.headers.get('content-range'), 'bytes */700000')
  for (const range of ['bytes=0-1,5-6', 'lines=1-2', 'bytes=9-3']) {
    const whole = await ranged(range)
    assert.equal(whole.status, 200, range)
    await whole.arrayBuffer()
  }
  const changed = await ranged('bytes=0-0', { 'if-range': '"another"' })
  assert.equal(changed.status, 200)
  await changed.arrayBuffer()
})

test('HEAD, conditional requests, other methods', async t => {
  const node = await withGateway(t)
  const root = await site(node)
  const head = await get(node, `/ipfs/${root}/big.bin`, { method: 'HEAD' })
  assert.equal(head.headers.get('content-length'), '700000')
  assert.equal(await head.text(), '')
  const etag = head.headers.get('etag') ?? ''
  for (const tag of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
    const response = await get(node, `/ipfs/${root}/big.bin`, { headers: { 'if-none-match': tag } })
    assert.equal(response.status, 304, tag)
  }
  const posted = await get(node, `/ipfs/${root}`, { method: 'POST' })
  assert.equal(posted.status, 405)
  assert.equal(posted.headers.get('allow'), 'GET, HEAD')
})

test('blocks and CARs, by query and by header', async t => {
  const node = await withGateway(t)
  const root = await site(node)
  const cid = await node.resolve(`${root}/big.bin`)
  const raw = await get(node, `/ipfs/${root}/big.bin?format=raw`)
  assert.equal(raw.headers.get('content-type'), 'application/vnd.ipld.raw')
  assert.ok(matches(cid, Buffer.from(await raw.arrayBuffer())))

  const car = await get(node, `/ipfs/${root}/big.bin`, { headers: { accept: 'application/vnd.ipld.car' } })
  assert.ok(car.headers.get('content-type')?.startsWith('application/vnd.ipld.car'))
  const reader = await CarReader.fromBytes(new Uint8Array(await car.arrayBuffer()))
  assert.deepEqual((await reader.getRoots()).map(String), [`${cid}`])
  const blocks = await Array.fromAsync(reader.blocks())
  for (const one of blocks) assert.ok(matches(CID.decode(one.cid.bytes), one.bytes))
  // The directory on the way, the file's root and its three leaves.
  assert.deepEqual([`${blocks[0]?.cid}`, `${blocks[1]?.cid}`], [`${root}`, `${cid}`])
  assert.equal(blocks.length, 5)
  const single = await get(node, `/ipfs/${cid}?format=car&dag-scope=block`)
  const one = await CarReader.fromBytes(new Uint8Array(await single.arrayBuffer()))
  assert.equal((await Array.fromAsync(one.blocks())).length, 1)
})

test('refusals are clear', async t => {
  const node = await withGateway(t, { gatewayFetch: false })
  const root = await site(node)
  const object = block(dagCbor.encode({ a: 1 }), dagCbor.code)
  await node.blocks.put([object])
  for (const [path, status] of [
    [`/ipfs/${root}/nothing`, 404],
    [`/ipfs/${root}/page/below`, 404],
    [`/ipfs/${block('absent').cid}`, 404],
    ['/ipfs/notacid', 400],
    ['/ipfs/', 400],
    ['/ipns/example.org', 400],
    ['/elsewhere', 400],
    [`/ipfs/${root}/%ff`, 400],
    [`/ipfs/${root}/a%2fb`, 400],
    [`/ipfs/${root}?format=tar`, 400],
    [`/ipfs/${root}?format=car&dag-scope=entity`, 400],
    [`/ipfs/${object.cid}`, 415],
  ] as const) {
    const response = await get(node, path)
    assert.equal(response.status, status, path)
    assert.ok(response.headers.get('content-type')?.startsWith('text/plain'))
    assert.ok((await response.text()).length > 20)
  }
  await assert.rejects(withGateway(t, { gateway: '/ip4/127.0.0.1/udp/1' }), { code: 'IPFS_BAD_OPTION' })
  const taken = node.gatewayUrl?.split(':').at(-1)
  await assert.rejects(withGateway(t, { gateway: `/ip4/127.0.0.1/tcp/${taken}` }), {
    code: 'IPFS_BAD_OPTION',
  })
})

test('what nobody has ends in 504; a client that leaves ends the fetching', async () => {
  const asked: AbortSignal[] = []
  const never = Promise.withResolvers<Uint8Array>()
  await using gateway = await createGateway(
    {
      clock: systemClock,
      logger: silentLogger,
      reader: {
        session: options => ({
          async get(cid, abort) {
            if (cid.equals(block('fast').cid)) throw blockMissing(cid, options?.timeoutMs)
            const signal = abort?.signal ?? AbortSignal.abort()
            asked.push(signal)
            const aborted = new Promise<never>((_, reject) => {
              signal.addEventListener('abort', () => reject(signal.reason))
            })
            return await Promise.race([never.promise, aborted])
          },
          fetch: () => never.promise,
          [Symbol.dispose]: () => undefined,
        }),
      },
    },
    { listen: '/ip4/127.0.0.1/tcp/0', fetch: true, timeoutMs: 200 },
  )
  const slow = await fetch(`${gateway.url}/ipfs/${block('slow').cid}`)
  assert.equal(slow.status, 504)
  const fast = await fetch(`${gateway.url}/ipfs/${block('fast').cid}`)
  assert.equal(fast.status, 504)
  assert.match(await fast.text(), /nobody delivered it within 0.2 s/)

  const before = asked.length
  const client = request(`${gateway.url}/ipfs/${block('slow').cid}`)
  client.on('error', () => undefined)
  client.end()
  while (asked.length === before) await new Promise(resolve => setImmediate(resolve))
  client.destroy()
  const signal = asked.at(-1)
  assert.ok(signal)
  if (!signal.aborted) await new Promise(resolve => signal.addEventListener('abort', resolve))
  assert.match(String(signal.reason), /the client left/)
})
