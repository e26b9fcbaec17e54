import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '@ipfs-cluster/base'
import { addressOf, createTestNetwork } from './test-network.ts'

/** Sorted kinds of what keeps the process alive. */
const resources = () => process.getActiveResourcesInfo().sort()

test('thirty networks come and go without a trace', async () => {
  const before = resources()
  {
    await using hub = await createTestNetwork({ listen: ['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/tcp/0/ws'] })
    for (let round = 0; round < 30; round++) {
      await using network = await createTestNetwork()
      network.subscribe('t', () => undefined)
      network.serve([], () => true)
      await network.exchange({ get: async () => undefined, size: async () => undefined })
      const addresses = hub.addresses()
      await network.connect(addresses[round % addresses.length] ?? addressOf(hub))
      await network.publish('t', new Uint8Array(10))
      if (round % 10 === 0) await network[Symbol.asyncDispose]()
    }
  }
  // Sockets and expired timers leave with the next turns of the event loop.
  for (let turn = 0; turn < 10; turn++) await systemClock.sleep(1)
  assert.deepEqual(resources(), before)
})
