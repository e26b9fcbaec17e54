import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { identify } from '@libp2p/identify'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { silentLogger, systemClock } from '@ipfs-cluster/base'
import { createLibp2p } from 'libp2p'
import { block, startNode } from '../test-node.ts'
import type { IpfsNode } from '../types.ts'
import { delegatedProviders } from './delegated-routing.ts'
import { isPrivateAddress } from './host.ts'

const WANTED = block('wanted')

/** An HTTP routing endpoint with one answer; its URL and the paths asked for. */
async function endpoint(
  t: TestContext,
  status: number,
  type: string,
  body: string,
): Promise<{ readonly url: string; readonly asked: string[] }> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    response.writeHead(status, { 'content-type': type }).end(body)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', () => resolve()))
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked }
}

const record = (node: IpfsNode) => ({
  Schema: 'peer',
  ID: node.peerId,
  Addrs: withoutPeer(node),
  Protocols: ['transport-bitswap'],
})

function withoutPeer(node: IpfsNode): string[] {
  return node.addresses().map(address => address.replace(/\/p2p\/.*/, ''))
}

test('a provider named by an HTTP endpoint is connected to and asked', async t => {
  const source = await startNode(t)
  await source.blocks.put([WANTED])
  const failing = await endpoint(t, 500, 'text/plain', 'broken')
  const good = await endpoint(
    t,
    200,
    'application/json',
    JSON.stringify({ Providers: [{ Schema: 'x' }, record(source)] }),
  )
  const node = await startNode(t, { delegatedRouting: [failing.url, `${good.url}/`] })
  assert.deepEqual(await node.blocks.get(WANTED.cid), WANTED.data)
  assert.deepEqual(node.swarm.peers(), [source.peerId])
  assert.equal(good.asked[0], `/routing/v1/providers/${WANTED.cid}`)
})

test('answers of endpoints: streams, none, too long, nonsense', async t => {
  const components = { clock: systemClock, logger: silentLogger }
  const ask = async (status: number, type: string, body: string) => {
    const { url } = await endpoint(t, status, type, body)
    return await Array.fromAsync(delegatedProviders(components, url, WANTED.cid))
  }
  const [a, b] = [
    { Schema: 'peer', ID: 'a', Addrs: ['/ip4/1.2.3.4/tcp/1', 5] },
    { Schema: 'bitswap', ID: 'b' },
  ]
  const stream = `${JSON.stringify(a)}\n\n{"Schema":"other","ID":"c"}\n${JSON.stringify(b)}`
  assert.deepEqual(await ask(200, 'application/x-ndjson; charset=utf-8', stream), [
    { id: 'a', addresses: ['/ip4/1.2.3.4/tcp/1'] },
    { id: 'b', addresses: [] },
  ])
  assert.deepEqual(await ask(404, 'text/plain', 'none'), [])
  assert.deepEqual(await ask(200, 'application/json', '{"Providers":null}'), [])
  assert.deepEqual(await ask(200, 'application/json', '<html>'), [])
  assert.deepEqual(await ask(200, 'application/json', ' '.repeat(1024 * 1024 + 1)), [])
})

test('a provider known to the DHT is found, connected to and asked', async t => {
  const server = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: {
      identify: identify(),
      ping: ping(),
      dht: kadDHT({
        protocol: '/ipfs/kad/1.0.0',
        clientMode: false,
        peerInfoMapper: passthroughMapper,
        allowQueryWithZeroPeers: true,
      }),
    },
  })
  t.after(() => server.stop())
  const bootstrap = server.getMultiaddrs().map(String)
  const source = await startNode(t, { bootstrap })
  await source.blocks.put([WANTED])
  const node = await startNode(t, { bootstrap, routing: 'dhtclient' })
  // The server itself says that it has the block; the node asks it first, in vain, and learns of the source by a second record.
  const { dht } = server.services
  const until = async (done: () => boolean) => {
    while (!done()) await systemClock.sleep(10)
  }
  await until(() => server.getPeers().some(peer => peer.toString() === source.peerId))
  const internals = dht as unknown as {
    providers: { addProvider(cid: unknown, peer: unknown): Promise<void> }
  }
  const sourceId = server.getPeers().find(peer => peer.toString() === source.peerId)
  await internals.providers.addProvider(WANTED.cid, sourceId)
  assert.deepEqual(await node.blocks.get(WANTED.cid), WANTED.data)
  assert.ok(node.swarm.peers().includes(source.peerId))
})

test('private addresses', () => {
  for (const address of [
    '/ip4/127.0.0.1/tcp/1',
    '/ip4/10.1.2.3/tcp/1',
    '/ip4/172.31.0.1/tcp/1',
    '/ip4/192.168.0.1/tcp/1',
    '/ip6/::1/tcp/1',
    '/ip6/fd12::1/tcp/1',
  ]) {
    assert.ok(isPrivateAddress(address), address)
  }
  for (const address of [
    '/ip4/1.2.3.4/tcp/1',
    '/ip4/172.32.0.1/tcp/1',
    '/dnsaddr/bootstrap.libp2p.io',
    '/ip6/2001:db8::1/tcp/1',
  ]) {
    assert.ok(!isPrivateAddress(address), address)
  }
})
