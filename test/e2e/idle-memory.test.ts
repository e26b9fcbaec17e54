import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { createClient, filePart } from '@ipfs-cluster/api/client'
import { createNodeTransport } from '@ipfs-cluster/api/node'
import { startInProcessPeer } from './in-process-peer.ts'

test('memory is given back again and again while a peer is used: nothing fails, nothing is lost', async () => {
  await using started = await startInProcessPeer()
  const client = createClient({ hosts: [started.url] }, { transport: createNodeTransport() })
  const pinned = async () =>
    (await Array.fromAsync(client.allocations())).map(({ cid }) => `${cid}`).toSorted()
  const ended = new AbortController()
  let times = 0
  const givingBack = (async () => {
    while (!ended.signal.aborted) {
      if (await started.peer.returnMemory()) times++
      await setImmediate()
    }
  })()
  const cids = []
  for (let i = 0; i < 40; i++) {
    const [output] = await Array.fromAsync(client.add({ parts: [filePart(`file-${i}`, `content ${i}`)] }))
    const cid = output?.cid
    assert.ok(cid)
    cids.push(cid)
    assert.equal((await pinned()).length, cids.length)
    await client.status({ cid })
  }
  await Promise.all(cids.splice(0, 10).map(cid => client.unpin({ cid })))
  ended.abort()
  await givingBack
  assert.ok(times > 1, `${times} times`)
  assert.deepEqual(await pinned(), cids.map(cid => `${cid}`).toSorted())
})
