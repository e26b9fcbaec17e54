import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isRareStatus, TRACKER_STATUS } from '@ipfs-cluster/api'
import { completedStatuses, pinStatusOf, UNSETTLED } from './status.ts'
import { A, B, C, pinAt } from './test-service.ts'

const { pinned, pinning, pin_queued, pin_error, unpin_error, cluster_error, remote, unpinning, sharded } =
  TRACKER_STATUS
const { unexpectedly_unpinned } = TRACKER_STATUS

test('the status of a pin object follows from those of the peers', () => {
  const cases: [min: number, statuses: number[], status: string][] = [
    [-1, [pinned, pinned, pinned], 'pinned'],
    [-1, [pinned, pinning, pinned], 'pinning'],
    [-1, [pinned, pinning, pin_queued], 'queued'],
    [1, [pinned, remote, remote], 'pinned'],
    [1, [pinned, unpinning], 'pinned'],
    [-1, [], 'queued'],
    [1, [remote, remote], 'queued'],
    [1, [unexpectedly_unpinned], 'queued'],
    [-1, [sharded], 'pinned'],
    // One of all peers is away: nothing is lost.
    [-1, [pinned, cluster_error], 'pinned'],
    [-1, [pinning, cluster_error], 'pinning'],
    [-1, [cluster_error, cluster_error], 'failed'],
    [-1, [pinned, pin_error], 'failed'],
    [-1, [pinned, unpin_error], 'failed'],
    // As many as there shall be at least.
    [2, [pinned, pinned, pin_error], 'pinned'],
    [2, [pinned, pinned, cluster_error], 'pinned'],
    [2, [pinned, pinning, pin_error], 'pinning'],
    [2, [pinned, pin_error, pin_error], 'failed'],
    [1, [pin_error], 'failed'],
    [1, [pin_error, remote], 'failed'],
    [1, [cluster_error], 'failed'],
  ]
  for (const [min, statuses, status] of cases) {
    assert.equal(pinStatusOf({ replicationFactorMin: min }, statuses), status, `${min}: ${statuses}`)
  }
})

test('a list of what is not settled tells the status as all peers together do', () => {
  assert.ok(isRareStatus(UNSETTLED))
  const pin = pinAt(1, 1, { replicationFactorMin: 2, replicationFactorMax: 3, allocations: [A, B, C] })
  const short = { status: pin_error } as never
  const statuses = completedStatuses(pin, { peerMap: { [B]: short } })
  assert.deepEqual(statuses, [pin_error, pinned, pinned])
  assert.equal(pinStatusOf(pin, statuses), 'pinned')
})
