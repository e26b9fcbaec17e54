/** Sharded content among Go and TypeScript peers: added, kept, read and unpinned by either. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { kuboBinary, waitFor } from '@ipfs-cluster/testkit'
import { converged, startMixedCluster, type MixedCluster } from './mixed.ts'
import { goBinary, type InteropPeer, type Json } from './peers.ts'

const skip =
  (goBinary === undefined || kuboBinary === undefined) &&
  'IPFS_CLUSTER_GO_BIN and KUBO_BIN do not name the binaries'

const MB = 1_000_000
const SHARD = 2 * MB

/** Adds a folder of three files; resolves with the CID of its root and the content. */
async function addSharded(
  peer: InteropPeer,
  name: string,
  query: string,
): Promise<{ root: string; files: Buffer[] }> {
  const files = Array.from({ length: 3 }, () => randomBytes(3 * MB))
  const form = new FormData()
  for (const [i, data] of files.entries()) form.append('file', new Blob([data]), `folder/${i}.bin`)
  const path = `/add?stream-channels=false&shard=true&shard-size=${SHARD}&name=${name}&${query}`
  const outputs: Json[] = await (await peer.request('POST', path, form)).json()
  return { root: outputs.find(output => output.name === 'folder').cid, files }
}

/** The API of the Kubo beside a peer. */
async function kuboOf(peer: InteropPeer): Promise<(path: string) => Promise<Response>> {
  const config = JSON.parse(await readFile(join(peer.folder, 'service.json'), 'utf8'))
  const [, ip, port] =
    /^\/ip4\/([\d.]+)\/tcp\/(\d+)$/.exec(config.ipfs_connector.ipfshttp.node_multiaddress) ?? []
  return async path => {
    const response = await fetch(`http://${ip}:${port}/api/v0/${path}`, { method: 'POST' })
    if (!response.ok) throw new Error(`${path}: ${await response.text()}`)
    return response
  }
}

/** Of every new Kubo: an empty folder. */
const EMPTY_FOLDER = 'QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn'

/** Pins of a Kubo, recursive and direct. */
async function pinsOfKubo(peer: InteropPeer): Promise<Record<string, Json>> {
  const kubo = await kuboOf(peer)
  const pins: Record<string, Json> = {}
  for (const type of ['recursive', 'direct']) {
    Object.assign(pins, (await (await kubo(`pin/ls?type=${type}`)).json()).Keys)
  }
  delete pins[EMPTY_FOLDER]
  return pins
}

describe('sharded content in a cluster of Go and TypeScript peers', { skip }, () => {
  let cluster: MixedCluster

  before(async () => {
    cluster = await startMixedCluster()
    // Addresses on loopback are told to nobody, so the daemons are connected by hand.
    const { peers } = cluster
    const ids = await Promise.all(peers.map(peer => peer.json('/id')))
    for (const [i, peer] of peers.slice(0, 3).entries()) {
      const kubo = await kuboOf(peer)
      for (const [j, { ipfs }] of ids.entries()) {
        const address = ipfs.addresses.find((text: string) => text.startsWith('/ip4/127.0.0.1/tcp/'))
        if (j > i) await kubo(`swarm/connect?arg=${encodeURIComponent(address)}`)
      }
    }
  })

  after(async () => {
    await cluster?.[Symbol.asyncDispose]()
  })

  /** Waits until every shard is pinned where it should be, as this peer sees it. */
  const settled = async (observer: InteropPeer): Promise<void> => {
    await waitFor(
      async () => {
        const shards = await observer.list('/allocations?filter=shard-pin')
        for (const { cid, allocations } of shards) {
          const { peer_map: map } = await observer.json(`/pins/${cid}`)
          const keepers: string[] = allocations.length === 0 ? Object.keys(map) : allocations
          if (keepers.some(peer => map[peer]?.status !== 'pinned')) return false
        }
        return shards.length > 0
      },
      { timeoutMs: 90_000, intervalMs: 250, what: `all shards are pinned, says ${observer.name}` },
    )
  }

  const readBy = async (reader: InteropPeer, root: string, files: readonly Buffer[]): Promise<void> => {
    const kubo = await kuboOf(reader)
    for (const [i, data] of files.entries()) {
      const read = Buffer.from(await (await kubo(`cat?arg=${root}/${i}.bin`)).arrayBuffer())
      assert.ok(read.equals(data), `${i}.bin through the Kubo of ${reader.name}`)
    }
  }

  const gone = async (): Promise<void> => {
    await converged(cluster.peers, { expected: 0 })
    for (const peer of cluster.peers) {
      await waitFor(async () => (await peer.list('/pins?local=true')).length === 0, {
        timeoutMs: 30_000,
        intervalMs: 100,
        what: `nothing is left at ${peer.name}`,
      })
    }
    for (const peer of cluster.peers.slice(0, 3)) {
      await waitFor(async () => Object.keys(await pinsOfKubo(peer)).length === 0, {
        timeoutMs: 30_000,
        intervalMs: 100,
        what: `nothing is left in the Kubo of ${peer.name}`,
      })
    }
  }

  test('what the Kubo of a TypeScript peer has lost comes back from the others', async () => {
    const { go1, ts1 } = cluster
    const { root, files } = await addSharded(go1, 'lost', 'replication=-1')
    await converged(cluster.peers)
    await settled(ts1)
    const kubo = await kuboOf(ts1)
    for (const cid of Object.keys(await pinsOfKubo(ts1))) await kubo(`pin/rm?arg=${cid}`)
    await (await kubo('repo/gc')).text()
    await ts1.request('POST', `/pins/${root}/recover`)
    await settled(ts1)
    await (await kubo('repo/gc')).text()
    for (const [i, data] of files.entries()) {
      const read = Buffer.from(await (await kubo(`cat?arg=${root}/${i}.bin&offline=true`)).arrayBuffer())
      assert.ok(read.equals(data), `${i}.bin`)
    }
    await ts1.request('DELETE', `/pins/${root}`)
    await gone()
  })

  for (const [adder, other, unpinner] of [
    ['go1', 'ts1', 'ts2'],
    ['ts1', 'go2', 'go1'],
    ['ts2', 'ts1', 'go2'],
  ] as const) {
    test(`added by ${adder}, unpinned by ${unpinner}`, async () => {
      const { root, files } = await addSharded(cluster[adder], `by-${adder}`, 'replication=3')
      const { pins } = await converged(cluster.peers)
      const types = pins.map(pin => JSON.parse(pin).type).sort()
      assert.deepEqual(types.slice(0, 2), ['clusterdag-pin', 'meta-pin'])
      assert.ok(types.length >= 7 && types.slice(2).every(type => type === 'shard-pin'), types.join())
      for (const peer of cluster.peers) await settled(peer)
      const { shards, peer_map: map } = await cluster.ts2.json(`/pins/${root}`)
      assert.deepEqual(
        [shards.total, shards.pinned],
        [types.length - 2, types.length - 2],
        JSON.stringify(shards),
      )
      assert.deepEqual(new Set(Object.values(map).map((info: Json) => info.status)), new Set(['sharded']))
      await readBy(cluster.go2, root, files)
      await readBy(cluster.ts1, root, files)
      await cluster[other].request('POST', `/pins/${root}/recover`)
      await cluster[unpinner].request('DELETE', `/pins/${root}`)
      await gone()
    })
  }
})
