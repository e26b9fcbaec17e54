import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RPC, RPC_METHODS } from './methods.ts'

/** Methods that Go does not have (docs/decisions/0005-status-order.md, consensus/bulk-blocks.ts). */
const OURS = [
  'PinTracker.StatusPages',
  'PinTracker.StatusEach',
  'PinTracker.StatusMany',
  'Consensus.Blocks',
  'IPFSConnector.HoldBlocks',
  'IPFSConnector.DagBlocks',
]

test('every method stands under its own name, once', () => {
  for (const [service, methods] of Object.entries(RPC)) {
    for (const [name, method] of Object.entries(methods)) {
      assert.equal(`${method.service}.${method.method}`, `${service}.${name}`)
    }
  }
  const count = Object.values(RPC).reduce((sum, methods) => sum + Object.keys(methods).length, 0)
  assert.equal(new Set(RPC_METHODS).size, count)
  // Go 1.1.6 has one more, ConfigKey.
  assert.equal(count - OURS.length, 54)
})

test('strangers and untrusted peers reach exactly what Go lets them reach', () => {
  const named = (policy: string) =>
    RPC_METHODS.filter(method => method.policy === policy)
      .map(method => `${method.service}.${method.method}${method.kind === 'streaming' ? ' (S)' : ''}`)
      .filter(name => !OURS.some(ours => name.startsWith(ours)))
      .sort()
  assert.deepEqual(named('open'), [
    'Cluster.ID',
    'Cluster.IDStream (S)',
    'Cluster.PeerAdd',
    'Cluster.Version',
  ])
  assert.deepEqual(named('trusted'), [
    'Cluster.PeerRemove',
    'Cluster.Peers (S)',
    'Cluster.RecoverAllLocal (S)',
    'Cluster.RecoverLocal',
    'Cluster.RepoGCLocal',
    'Consensus.AddPeer',
    'Consensus.LogPin',
    'Consensus.LogUnpin',
    'Consensus.RmPeer',
    'IPFSConnector.BlockStream (S)',
    'IPFSConnector.RepoStat',
    'IPFSConnector.SwarmPeers',
    'PinTracker.Recover',
    'PinTracker.Status',
    'PinTracker.StatusAll (S)',
  ])
})

test('our own methods are for trusted peers', () => {
  const ours = RPC_METHODS.filter(({ service, method }) => OURS.includes(`${service}.${method}`))
  assert.equal(ours.length, OURS.length)
  assert.ok(ours.every(({ policy }) => policy === 'trusted'))
})
