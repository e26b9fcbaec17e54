import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectionLimits } from './connection-limits.ts'
import { testNetworkConfig } from './test-network.ts'
import type { NetworkConfig } from './types.ts'

const MIB = 1024 * 1024

function limitsOf(
  highWater: number,
  resources: NetworkConfig['resources'],
  more: Partial<NetworkConfig> = {},
) {
  const connectionManager = { highWater, lowWater: 1, gracePeriodMs: 0 }
  return connectionLimits(testNetworkConfig({ connectionManager, ...(resources && { resources }), ...more }))
}

test('inbound connections are twice the high water mark, as far as memory and descriptors go', () => {
  const plenty = { memoryLimitBytes: 100_000 * MIB }
  assert.equal(limitsOf(400, plenty).inbound, 800)
  assert.equal(limitsOf(10, plenty).inbound, 800)
  assert.equal(limitsOf(1000, plenty).inbound, 2000)
  assert.equal(limitsOf(100_000, plenty).inbound, 4000)
  assert.equal(limitsOf(400, { memoryLimitBytes: 200 * MIB }).inbound, 200)
  assert.equal(limitsOf(400, { memoryLimitBytes: MIB }).inbound, 64)
  assert.equal(limitsOf(400, { ...plenty, fileDescriptorsLimit: 300 }).inbound, 300)
  assert.equal(limitsOf(400, { ...plenty, enabled: false, fileDescriptorsLimit: 300 }).inbound, 4000)
})

test('a quarter of them may be in the handshake, half of those from one address', () => {
  const { pending, pendingPerAddress, perAddress, perPeer } = limitsOf(400, { memoryLimitBytes: 1000 * MIB })
  assert.deepEqual([pending, pendingPerAddress, perAddress, perPeer], [200, 100, 128, 8])
  assert.equal(limitsOf(400, undefined, { limits: { pending: 7 } }).pending, 7)
})
