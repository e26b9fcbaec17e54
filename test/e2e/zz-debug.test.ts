import { test } from 'node:test'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { identity } from 'multiformats/hashes/identity'
import { startCluster, statusByPeer, type TestPeer } from './cluster.ts'
import { setTimeout as delay } from 'node:timers/promises'

test('x', async () => {
  await using cluster = await startCluster(3, c => ({ ...c, cluster: { ...c.cluster, monitor_ping_interval: 700 }, monitor: { pubsubmon: { check_interval: 300 } } }))
  const [first, , third] = cluster.peers as [TestPeer, TestPeer, TestPeer]
  const cid = CID.createV1(raw.code, identity.digest(new Uint8Array([1, 2, 3])))
  await first.client.pin({ cid, options: { replicationFactorMin: 2, replicationFactorMax: 2, userAllocations: [third.id] } })
  await delay(1500)
  console.log(await statusByPeer(first, cid))
  await third.kill9()
  await delay(5000)
  console.log('moved', await statusByPeer(first, cid), (await first.client.allocation({ cid })).allocations, third.id)
  const t = performance.now()
  await third.start()
  await cluster.whole()
  for (let i = 0; i < 40; i++) {
    const own = await Array.fromAsync(third.client.statusAll({ local: true }))
    console.log(Math.round(performance.now() - t), (await third.client.allocation({ cid })).allocations.includes(third.id), (await statusByPeer(first, cid))[third.id], own.map(o => Object.values(o.peerMap).map(x => x.status)))
    await delay(2000)
  }
})
