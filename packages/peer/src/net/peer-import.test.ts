import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Libp2p } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { createTaskScope, silentLogger, systemClock } from '@ipfs-cluster/base'
import { createIdentity } from '../identity/index.ts'
import { createPeerImporter } from './peer-import.ts'
import type { AddPeer } from './peers.ts'
import { until } from './test-network.ts'

const NAME = '/dnsaddr/cluster.example.com'

/** An importer whose DNS is down for the first `failures` times; sleeps are noted and pass at once. */
async function createImporter(failures: number, answer: readonly string[]) {
  const added: AddPeer[] = []
  const sleeps: number[] = []
  const scope = createTaskScope(silentLogger)
  let asked = 0
  const importer = createPeerImporter({
    libp2p: { logger: { forComponent: () => () => undefined } } as unknown as Libp2p,
    book: { add: async (peer: AddPeer) => void added.push(peer) } as never,
    clock: {
      ...systemClock,
      async sleep(ms, options) {
        options?.signal?.throwIfAborted()
        sleeps.push(ms)
      },
    },
    logger: silentLogger,
    scope,
    resolver: {
      async resolve(address) {
        assert.equal(address.toString(), NAME)
        if (asked++ < failures) throw new Error('getaddrinfo EAI_AGAIN')
        return answer.map(text => multiaddr(text))
      },
    },
  })
  return { importer, added, sleeps, scope, asked: () => asked }
}

describe('a /dnsaddr', () => {
  test('that does not resolve is tried again, less and less often, until it does', async () => {
    const { id } = await createIdentity()
    const answer = [`/ip4/192.0.2.1/tcp/9096/p2p/${id}`, '/ip4/192.0.2.2/tcp/9096']
    const one = await createImporter(9, answer)
    await using _scope = one.scope
    await one.importer.importPeers([NAME], { permanent: true, priority: 0 })
    assert.equal(one.added.length, 0)
    await until(() => one.added.length === 1)
    assert.deepEqual(
      one.sleeps.map(ms => ms / 1000),
      [5, 10, 20, 40, 80, 160, 320, 600, 600],
    )
    assert.deepEqual(
      one.added.map(peer => ({ ...peer, addresses: peer.addresses.map(String) })),
      [{ peer: id, addresses: ['/ip4/192.0.2.1/tcp/9096'], permanent: true, priority: 0 }],
    )
  })

  test('that resolves is asked once', async () => {
    const { id } = await createIdentity()
    const one = await createImporter(0, [`/ip4/192.0.2.1/tcp/9096/p2p/${id}`])
    await using _scope = one.scope
    await one.importer.importPeers([NAME], { permanent: false, priority: 3 })
    assert.deepEqual([one.added.length, one.sleeps.length, one.asked()], [1, 0, 1])
  })

  test('that leads to nobody is given up after a day, and at the end of the peer', async () => {
    const nobody = await createImporter(0, ['/ip4/192.0.2.2/tcp/9096'])
    await nobody.importer.importPeers([NAME], { permanent: false, priority: 3 })
    await until(() => nobody.asked() === 151)
    await nobody.scope[Symbol.asyncDispose]()
    assert.equal(nobody.added.length, 0)
    const stopped = await createImporter(1_000_000, [])
    await stopped.importer.importPeers([NAME], { permanent: false, priority: 3 })
    await stopped.scope[Symbol.asyncDispose]()
    const { length } = stopped.sleeps
    await systemClock.sleep(5)
    assert.equal(stopped.sleeps.length, length)
  })
})
