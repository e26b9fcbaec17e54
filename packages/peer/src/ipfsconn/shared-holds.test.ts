import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { newPin } from '@ipfs-cluster/api'
import { Channel, silentLogger, systemClock, systemRandom } from '@ipfs-cluster/base'
import { createIpfsNode, defaultIpfsNodeConfig } from '@ipfs-cluster/ipfs'
import { rawBlock, waitFor } from '@ipfs-cluster/testkit'
import { createEmbeddedConnector, type BlockHold } from './index.ts'

/** Blocks that are stored at once, before the stream ends. */
const GROUP = 1024

async function setUp() {
  await using stack = new AsyncDisposableStack()
  const path = await mkdtemp(join(tmpdir(), 'shared-holds-'))
  stack.defer(() => rm(path, { recursive: true }))
  const components = { clock: systemClock, logger: silentLogger }
  const node = stack.use(
    await createIpfsNode(
      { ...components, random: systemRandom },
      { ...defaultIpfsNodeConfig, path, listen: ['/ip4/127.0.0.1/tcp/0'] },
    ),
  )
  const ipfs = stack.use(
    createEmbeddedConnector({ ...components, node }, { pinTimeoutMs: 1000, unpinDisable: false }),
  )
  const owned = stack.move()
  const stream = () => {
    const queue = new Channel<ReturnType<typeof rawBlock>>(10)
    const done = ipfs.blockStream(queue)
    return {
      queue,
      async end() {
        queue.end()
        await done
      },
    }
  }
  return {
    node,
    ipfs,
    stream,
    hold: async () => (await ipfs.hold?.()) as BlockHold,
    collected: async () => (await Array.fromAsync(ipfs.repoGC())).length,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

test('a hold goes on where the stream ends: until its release, or the pin of its root', async () => {
  await using bed = await setUp()
  const root = rawBlock('root')
  for (const kept of [false, true]) {
    const { queue, end } = bed.stream()
    for (let index = 0; index < GROUP; index++) await queue.push(rawBlock(`${index} ${kept}`))
    await waitFor(async () => (await bed.node.repo.stat()).numObjects >= GROUP, {
      what: 'the first are stored',
    })
    await queue.push(root)
    // Others that come and go in the meantime change nothing.
    const other = bed.stream()
    await other.queue.push(rawBlock('other'))
    const hold = await bed.hold()
    await end()
    await other.end()
    assert.equal(await bed.collected(), 0)
    const late = bed.stream()
    await late.queue.push(rawBlock('late'))
    await late.end()
    assert.equal(await bed.collected(), 0)
    if (kept) hold.keepFor(root.cid, async () => true)
    hold.release()
    if (kept) {
      await new Promise(setImmediate)
      assert.equal(await bed.collected(), 0)
      await bed.ipfs.pin(newPin(root.cid))
    }
    await waitFor(async () => (await bed.collected()) === (kept ? GROUP + 2 : GROUP + 3), {
      what: `collected, kept: ${kept}`,
    })
  }
})

test('holds that overlap without an end keep what their own streams put, not all that was ever put', async () => {
  await using bed = await setUp()
  let before: BlockHold | undefined
  for (let index = 0; index < 6; index++) {
    const { queue, end } = bed.stream()
    for (let block = 0; block < GROUP; block++) await queue.push(rawBlock(`${block} of ${index}`))
    await waitFor(async () => (await bed.node.repo.stat()).numObjects >= GROUP)
    const hold = await bed.hold()
    await end()
    before?.release()
    before = hold
    assert.ok((await bed.collected()) <= GROUP)
    const { numObjects } = await bed.node.repo.stat()
    assert.equal(numObjects, GROUP, `${numObjects} blocks`)
  }
  before?.release()
  await bed.collected()
  assert.equal((await bed.node.repo.stat()).numObjects, 0)
})
