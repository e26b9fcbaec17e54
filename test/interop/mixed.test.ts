import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { kuboBinary, waitFor } from '@ipfs-cluster/testkit'
import { disagreements } from './agree.ts'
import { addFile, pinMany, replaceMany, unpinMany, updateMany } from './load.ts'
import { converged, startMixedCluster } from './mixed.ts'
import { goBinary } from './peers.ts'

const skip =
  (goBinary === undefined || kuboBinary === undefined) &&
  'IPFS_CLUSTER_GO_BIN and KUBO_BIN do not name the binaries'

const PINS = 200

test('two Go and two TypeScript peers are one cluster', { skip }, async () => {
  await using cluster = await startMixedCluster()
  const { peers, go1, ts1, go2, ts2 } = cluster
  const cids = await pinMany(peers, PINS)
  await converged(peers, { expected: PINS })
  await unpinMany(peers, cids.slice(0, 40))
  await updateMany(peers, cids.slice(40, 60))
  const plain = cids.filter((_, index) => index >= 60 && index % 10 === 9)
  await replaceMany(peers, plain)
  for (const peer of peers) await addFile(peer, 300_000, 'replication-min=3&replication-max=3')
  const sized = await addFile(ts1, 100_000, 'replication-min=-1&replication-max=-1&max-pin-size=1GB')
  await converged(peers, { expected: PINS - 40 + plain.length + peers.length + 1 })
  await waitFor(
    async () => (await ts2.list('/pins?filter=error,queued,pinning,unpinning,cluster_error')).length === 0,
    { timeoutMs: 60_000, intervalMs: 250, what: 'nothing is queued or failed' },
  )
  // Through a Go peer's network the size of an add reaches the other TypeScript peer; Go peers pass over what they do not know.
  const { size, max_pin_size: limit } = await ts2.json(`/allocations/${sized}`)
  assert.ok(size > 100_000 && size < 101_000, `${size}`)
  assert.equal(limit, 1_000_000_000)
  assert.equal((await go2.json(`/allocations/${sized}`)).size, undefined)
  const { peer_map: seen } = await ts1.json(`/pins/${sized}`)
  assert.deepEqual([seen[ts1.id].size, seen[ts2.id].size, seen[go1.id].size], [size, size, undefined])
  assert.deepEqual(await disagreements(go1, ts1), [])
  assert.deepEqual(await disagreements(ts2, go2), [])

  const exports: string[][] = []
  for (const peer of peers) {
    await peer.stop()
    const file = join(peer.folder, 'export.json')
    const { code, stderr } = await peer.run(['state', 'export', '-f', file])
    assert.equal(code, 0, stderr)
    // Go neither knows nor keeps sizes.
    const lines = (await readFile(file, 'utf8')).split('\n')
    exports.push(lines.map(line => line.replace(/,"(size|max_pin_size)":\d+/g, '')).sort())
  }
  for (const other of exports.slice(1)) assert.deepEqual(other, exports[0])
})
