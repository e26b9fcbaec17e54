import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newPin } from '@ipfs-cluster/api'
import { systemClock } from '@ipfs-cluster/base'
import { fakePeerId } from '@ipfs-cluster/testkit'
import { CID } from 'multiformats/cid'
import { pingMetric } from './peer-view.ts'
import { createPinning, type PinningComponents } from './pinning.ts'
import type { ClusterConfig } from './types.ts'

const [SELF, OTHER] = [fakePeerId(0), fakePeerId(1)]
const A = CID.parse('bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku')

test('what is pinned everywhere goes to ourselves even before our first ping, and to nobody twice', async () => {
  for (const [pinging, expected] of [
    [[], [SELF]],
    [[OTHER], [OTHER, SELF]],
    [
      [SELF, OTHER],
      [SELF, OTHER],
    ],
  ] as const) {
    const components = {
      self: SELF,
      consensus: { state: { get: () => Promise.resolve(undefined) } },
      monitor: { latest: () => pinging.map(peer => pingMetric(peer, '{}', 0n, 1_000)) },
      clock: systemClock,
      onPin: () => undefined,
    }
    const config = { replicationFactorMin: -1, replicationFactorMax: -1 } as ClusterConfig
    const pinning = createPinning(components as unknown as PinningComponents, config)
    assert.deepEqual(await pinning.blockAllocate(newPin(A, {})), expected)
  }
})
