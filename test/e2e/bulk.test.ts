/** Many pins in one request, against a real peer: what is answered is in the pinset, and broken connections cost nothing. */
import assert from 'node:assert/strict'
import { createServer, connect, type Socket } from 'node:net'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import type { BulkAnswer } from '@ipfs-cluster/api'
import { createClient } from '@ipfs-cluster/api/client'
import { createNodeTransport } from '@ipfs-cluster/api/node'
import { benchCid } from '../bench/bed.ts'
import { bulkLoad } from '../bench/bulk-load.ts'
import { startInProcessPeer, type InProcessPeer } from './in-process-peer.ts'

let here: InProcessPeer
before(async () => {
  here = await startInProcessPeer()
})
after(() => here[Symbol.asyncDispose]())

const clientOf = (url: string) => createClient({ hosts: [url] }, { transport: createNodeTransport() })

async function listed(url: string): Promise<Set<string>> {
  const all = new Set<string>()
  for await (const pin of clientOf(url).allocations()) all.add(`${pin.cid}`)
  return all
}

test('what is answered is in the pinset, and leaves it likewise', async () => {
  const { pinMany, unpinMany, allocation } = clientOf(here.url)
  const cids = Array.from({ length: 3_000 }, (_, i) => benchCid('e2e', i))
  const pins = cids.map((cid, i) =>
    i === 7 ? { cid, name: 'seven', replicationFactorMax: 9, replicationFactorMin: 9 } : cid,
  )
  const answers = await Array.fromAsync(pinMany({ pins, options: { name: 'all', metadata: { a: 'b' } } }))
  assert.deepEqual(
    answers.map(({ cid }) => cid),
    cids.map(String),
  )
  const [refused, ...more] = answers.filter(({ error }) => error !== null)
  assert.equal(more.length, 0)
  assert.match(refused?.error?.message ?? '', /^not enough peers to allocate CID/)
  const pinset = await listed(here.url)
  assert.equal(pinset.size, 2_999)
  const { name, metadata, replicationFactorMin } = await allocation({ cid: benchCid('e2e', 8) })
  assert.deepEqual([name, metadata, replicationFactorMin], ['all', { a: 'b' }, -1])

  const removed = await Array.fromAsync(unpinMany({ cids }))
  assert.deepEqual(
    removed.flatMap(({ error }, i) => (error === null ? [] : [[i, error.code, error.message]])),
    [[7, 404, 'pin is not part of the pinset']],
  )
  assert.equal((await listed(here.url)).size, 0)
})

/** Lets connections through to the peer, and breaks them when asked to. */
async function proxyTo(url: string) {
  const sockets = new Set<Socket>()
  const server = createServer(inner => {
    const outer = connect(Number(new URL(url).port), '127.0.0.1')
    for (const [one, other] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      sockets.add(one)
      one.on('error', () => undefined).on('close', () => (sockets.delete(one), other.destroy()))
      one.pipe(other)
    }
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy()
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    async [Symbol.asyncDispose]() {
      cut()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

test('a connection that breaks again and again loses nothing', async () => {
  await using proxy = await proxyTo(here.url)
  const cids = Array.from({ length: 8_000 }, (_, i) => benchCid('broken', i))
  const answers: BulkAnswer[] = []
  for await (const answer of clientOf(proxy.url).pinMany({ pins: cids })) {
    answers.push(answer)
    if (answers.length % 2_500 === 0) proxy.cut()
  }
  assert.deepEqual(
    answers.map(({ cid, error }) => [cid, error]),
    cids.map(cid => [`${cid}`, null]),
  )
  const pinset = await listed(here.url)
  assert.ok(cids.every(cid => pinset.has(`${cid}`)))
  await Array.fromAsync(clientOf(here.url).unpinMany({ cids }))
})

test('several at once, over plain sockets', async () => {
  const lines = (series: string) => Array.from({ length: 5_000 }, (_, i) => `"${benchCid(series, i)}"`)
  const results = await Promise.all(['a', 'b', 'a'].map(series => bulkLoad(here.url, lines(series))))
  for (const { done, answers, error } of results) assert.deepEqual([done, answers, error], [5_000, 5_000, ''])
  assert.equal((await listed(here.url)).size, 10_000)
})
