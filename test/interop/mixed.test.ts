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
  await converged(peers, { expected: PINS - 40 + plain.length + peers.length })
  await waitFor(
    async () => (await ts2.list('/pins?filter=error,queued,pinning,unpinning,cluster_error')).length === 0,
    { timeoutMs: 60_000, intervalMs: 250, what: 'nothing is queued or failed' },
  )
  assert.deepEqual(await disagreements(go1, ts1), [])
  assert.deepEqual(await disagreements(ts2, go2), [])

  const exports: string[][] = []
  for (const peer of peers) {
    await peer.stop()
    const file = join(peer.folder, 'export.json')
    const { code, stderr } = await peer.run(['state', 'export', '-f', file])
    assert.equal(code, 0, stderr)
    exports.push((await readFile(file, 'utf8')).split('\n').sort())
  }
  for (const other of exports.slice(1)) assert.deepEqual(other, exports[0])
})
