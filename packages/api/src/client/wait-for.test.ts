import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CID } from 'multiformats/cid'
import { TRACKER_STATUS, type GlobalPinInfo } from '../index.ts'
import { serveRoutes } from '../test-server.ts'
import { createClient, statusReached } from './index.ts'
import { createNodeTransport } from './node-transport.ts'

const cid = CID.parse('QmbrCtydGyPeHiLURSPMqrvE5mCgMCwFYq3UD4XLCeAYw6')
const A = '12D3KooWAUjbd3CHGqy7nzCUu1hrM9KaD3D8K1XwaKFudXvCLqGH'

function info(...statuses: number[]): GlobalPinInfo {
  const short = {
    peerName: '',
    ipfs: '',
    ipfsAddresses: [],
    ts: null,
    error: '',
    attemptCount: 0,
    priorityPin: false,
  }
  const peers = statuses.map((status, i) => [`${A}${i}`, { ...short, status }])
  const peerMap =
    statuses.length === 1 ? { [A]: { ...short, status: statuses[0] as number } } : Object.fromEntries(peers)
  return { cid, name: '', allocations: [], origins: [], created: null, metadata: null, peerMap }
}

test('waitFor asks until the target is reached, and fails at the first error', async () => {
  const answers = [
    TRACKER_STATUS.pin_queued,
    TRACKER_STATUS.pinning,
    TRACKER_STATUS.pinned,
    TRACKER_STATUS.pin_error,
  ]
  await using server = await serveRoutes({ status: () => info(answers.shift() ?? 0) })
  const client = createClient({ hosts: [server.url] }, { transport: createNodeTransport() })
  const wait = { cid, target: TRACKER_STATUS.pinned, checkEveryMs: 5 }
  assert.equal((await client.waitFor(wait)).peerMap[A]?.status, TRACKER_STATUS.pinned)
  assert.equal(server.requests.length, 3)
  await assert.rejects(client.waitFor(wait), {
    code: 'API_WAIT_FAILED',
    message: 'error has occurred while attempting to reach status: pinned',
  })
  await assert.rejects(client.waitFor(wait, { signal: AbortSignal.timeout(1) }), { name: 'TimeoutError' })
})

test('when a status is reached', () => {
  const { pinned, pinning, remote, unpinned } = TRACKER_STATUS
  const cases: readonly (readonly [readonly number[], number, number, boolean])[] = [
    [[pinned, pinned], pinned, 0, true],
    [[pinned, pinning], pinned, 0, false],
    [[pinned, pinning], pinned, 1, true],
    [[pinned, pinning], pinned, -1, false],
    [[pinned, pinned], pinned, 5, true],
    [[pinned, remote], pinned, 0, true],
    [[pinned, remote], pinned, 2, false],
    [[unpinned, remote], unpinned, 0, false],
    [[], pinned, 3, true],
  ]
  for (const [statuses, target, limit, reached] of cases) {
    assert.equal(
      statusReached(info(...statuses), target, limit),
      reached,
      JSON.stringify([statuses, target, limit]),
    )
  }
})
