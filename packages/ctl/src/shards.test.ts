import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TRACKER_STATUS, type GlobalPinInfo } from '@ipfs-cluster/api'
import { CID } from 'multiformats/cid'
import { statusShape } from './format.ts'

const ROOT = CID.parse('QmbrCtydGyPeHiLURSPMqrvE5mCgMCwFYq3UD4XLCeAYw6')
const SHARD = CID.parse('bafyreidcgctbrom3dqld6xmwibrqe7psbhwnrbuv2xjvumsmswgxcj556y')

test('the status of a root says how its shards do, and what is wrong with them', () => {
  const info: GlobalPinInfo = {
    cid: ROOT,
    name: 'x',
    allocations: [],
    origins: [],
    created: null,
    metadata: null,
    peerMap: {
      a: {
        peerName: 'here',
        ipfs: '',
        ipfsAddresses: [],
        status: TRACKER_STATUS.sharded,
        ts: 0n,
        error: '',
        attemptCount: 0,
        priorityPin: false,
      },
    },
    shards: {
      total: 3,
      pinned: 1,
      pinning: 1,
      error: 1,
      problems: [{ cid: SHARD, error: 'nobody has it' }],
    },
  }
  assert.equal(
    statusShape.text(info, 0n),
    `${ROOT} | x:\n` +
      '    > here                 : SHARDED | 1970-01-01T00:00:00Z | Attempts: 0 | Priority: false\n' +
      '    > Shards: 3 | 1 pinned, 1 pinning, 1 error\n' +
      `      - ${SHARD}: nobody has it\n`,
  )
})
