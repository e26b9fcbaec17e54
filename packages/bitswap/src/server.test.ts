import { createTaskScope, silentLogger } from '@ipfs-cluster/base'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CID } from 'multiformats/cid'
import { bitswapConfig, type BitswapConfig } from './config.ts'
import type { Ledger } from './ledger.ts'
import { EMPTY_MESSAGE, type WantlistEntry } from './message.ts'
import { Server } from './server.ts'
import { MemoryBlocks, testBlock, testBlocks, until, type TestBlock } from './test-hosts.ts'

const want = ({ cid }: TestBlock, how: Partial<WantlistEntry> = {}): WantlistEntry => ({
  cid: cid.bytes,
  priority: 1,
  cancel: false,
  wantHave: false,
  sendDontHave: true,
  ...how,
})

function createServer(blocks: MemoryBlocks, config: Partial<BitswapConfig> = {}): Server {
  const full = bitswapConfig(config)
  return new Server({ blocks, config: full, logger: silentLogger, tasks: createTaskScope(silentLogger) })
}

const ask = (server: Server, ledger: Ledger, ...wantlist: WantlistEntry[]) =>
  server.receive(ledger, { ...EMPTY_MESSAGE, wantlist })

/** Takes what is ready, again and again, until `count` answers have come. */
async function takeAll(
  server: Server,
  ledger: Ledger,
  count: number,
): Promise<{ blocks: number; presences: number }> {
  const taken = { blocks: 0, presences: 0 }
  while (taken.blocks + taken.presences < count) {
    await until(() => ledger.hasAnswers, 'an answer')
    const { payload = [], presences = [] } = server.take(ledger, '1.2', 1 << 18)
    taken.blocks += payload.length
    taken.presences += presences.length
  }
  return taken
}

test('a peer with one want does not wait for one with a thousand', async () => {
  const order: string[] = []
  class Slow extends MemoryBlocks {
    override async get(cid: CID): Promise<Uint8Array | undefined> {
      await new Promise(resolve => setImmediate(resolve))
      order.push(cid.toString())
      return await super.get(cid)
    }
  }
  const blocks = await testBlocks(1001, 20_000)
  const server = createServer(new Slow().put(...blocks))
  const greedy = server.open(() => void server.take(greedy, '1.2', 1 << 18))
  const modest = server.open(() => undefined)
  const last = blocks[1000] as TestBlock
  ask(server, greedy, ...blocks.slice(0, 1000).map(block => want(block)))
  ask(server, modest, want(last))
  await until(() => modest.hasAnswers, 'the single block')
  assert.ok(order.indexOf(last.cid.toString()) < 100, `after ${order.indexOf(last.cid.toString())} others`)
  await until(() => server.pending === 1, 'the rest')
})

test('no more is read than the peer takes', async () => {
  const blocks = await testBlocks(100, 100_000)
  const server = createServer(new MemoryBlocks().put(...blocks))
  const ledger = server.open(() => undefined)
  ask(server, ledger, ...blocks.map(block => want(block)))
  await until(() => ledger.readyBytes > 256 * 1024 && !ledger.preparing, 'enough is ready')
  assert.ok(ledger.readyBytes < 2_500_000, `${ledger.readyBytes} bytes`)
  assert.ok(ledger.queued > 70)
  assert.deepEqual(await takeAll(server, ledger, 100), { blocks: 100, presences: 0 })
  assert.equal(server.pending, 0)
  assert.equal(server.bytesSent, 10_000_000)
})

test('a block that comes while it is being looked up is not missed', async () => {
  const block = await testBlock(1, 5000)
  const gate = Promise.withResolvers<void>()
  class Late extends MemoryBlocks {
    override async size(cid: CID): Promise<number | undefined> {
      const size = await super.size(cid)
      await gate.promise
      return size
    }
  }
  const store = new Late()
  const server = createServer(store)
  const ledger = server.open(() => undefined)
  ask(server, ledger, want(block, { wantHave: true }))
  await until(() => ledger.queued === 0, 'the lookup has begun')
  store.put(block)
  server.notify([block])
  gate.resolve()
  await until(() => ledger.hasAnswers, 'an answer')
  assert.deepEqual(server.take(ledger, '1.2', 1000).presences, [{ cid: block.cid.bytes, have: true }])
})

test('a want-have turned into a want-block during the lookup is answered with the block', async () => {
  const block = await testBlock(1, 5000)
  const server = createServer(new MemoryBlocks().put(block))
  const ledger = server.open(() => undefined)
  ask(server, ledger, want(block, { wantHave: true }))
  await until(() => ledger.queued === 0, 'the lookup has begun')
  ask(server, ledger, want(block))
  await until(() => ledger.hasAnswers, 'an answer')
  const answer = server.take(ledger, '1.2', 10_000)
  if (answer.presences?.length) await takeAll(server, ledger, 1)
  assert.equal(server.blocksSent, 1)
  assert.equal(server.pending, 0)
})

test('a cancel takes back what is not sent yet', async () => {
  const blocks = await testBlocks(3)
  const server = createServer(new MemoryBlocks().put(...blocks))
  const ledger = server.open(() => undefined)
  ask(server, ledger, ...blocks.map(block => want(block)))
  await until(() => ledger.readyBytes > 600, 'all are ready')
  ask(server, ledger, want(blocks[1] as TestBlock, { cancel: true }))
  const { payload } = server.take(ledger, '1.2', 10_000)
  assert.deepEqual(
    payload?.map(({ data }) => data),
    [blocks[0]?.data, blocks[2]?.data],
  )
  assert.equal(ledger.readyBytes, 0)
  assert.equal(server.pending, 0)
})

test('a store that fails means no, not silence', async () => {
  class Broken extends MemoryBlocks {
    override get(): Promise<never> {
      return Promise.reject(new Error('disk gone'))
    }
  }
  const server = createServer(new Broken())
  const ledger = server.open(() => undefined)
  ask(server, ledger, want(await testBlock(1)))
  assert.deepEqual(await takeAll(server, ledger, 1), { blocks: 0, presences: 1 })
  assert.equal(server.pending, 1)
})

test('a peer that only asks and never reads is not answered without bound', async () => {
  const server = createServer(new MemoryBlocks(), { maxWantsPerPeer: 100, maxOutgoingBytes: 4096 })
  const ledger = server.open(() => undefined)
  const blocks = await testBlocks(3000)
  for (const block of blocks) ask(server, ledger, want(block))
  await until(() => !ledger.preparing, 'nothing more happens')
  assert.ok(ledger.readyBytes < 64 * 1024, `${ledger.readyBytes} bytes of answers`)
  assert.ok(server.pending <= 100)
  server.reset(ledger, { close: true })
  assert.equal(server.pending, 0)
})
