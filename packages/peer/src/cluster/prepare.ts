/**
 * What a pin must look like before it may enter the pinset: pure functions of the request, what is there already, and the
 * configuration (Go: `cluster.go` `setupPin`, `checkPinType`; texts in reference api.md 1.4).
 */
import { isPinEverywhere, type Pin } from '@ipfs-cluster/api'
import { factorProblem } from '../config/index.ts'
import { ClusterError } from './errors.ts'
import type { ClusterConfig } from './types.ts'

type Factors = Pick<ClusterConfig, 'replicationFactorMin' | 'replicationFactorMax'>

/**
 * Fills in defaults and checks the pin against the one it replaces. The allocations stay as given, but for a pin everywhere.
 *
 * @param now Unix nanoseconds.
 * @throws ClusterError
 */
export function preparePin(pin: Pin, existing: Pin | undefined, defaults: Factors, now: bigint): Pin {
  const prepared = withFactors(pin, defaults)
  if (prepared.expireAt !== null && prepared.expireAt !== 0n && prepared.expireAt < now) {
    throw new ClusterError('pin.ExpireAt set before current time', {
      code: 'BAD_EXPIRY',
      expireAt: prepared.expireAt,
    })
  }
  if (existing !== undefined) checkAgainst(prepared, existing)
  // The same content is as large as it was.
  const size = prepared.size ?? (existing?.maxDepth === prepared.maxDepth ? existing.size : undefined)
  return { ...prepared, ...(size === undefined ? {} : { size }), timestamp: now }
}

/** The pin that `pin update` makes of `from`: same options and allocations, new content. */
export function updatedPin(from: Pin, to: Pin, now: bigint): Pin {
  if (from.type !== 'pin') {
    throw new ClusterError('this pin type cannot be updated', {
      code: 'PIN_NOT_UPDATABLE',
      cid: from.cid.toString(),
    })
  }
  const expires = to.expireAt !== null && to.expireAt > now
  const { size: _, ...kept } = from
  const { size, maxPinSize = from.maxPinSize } = to
  return {
    ...kept,
    ...(size === undefined ? {} : { size }),
    ...(maxPinSize === undefined ? {} : { maxPinSize }),
    cid: to.cid,
    pinUpdate: from.cid,
    timestamp: now,
    name: to.name === '' ? from.name : to.name,
    expireAt: expires ? to.expireAt : from.expireAt,
  }
}

/** @throws ClusterError `UNPIN_SHARD` when `pin` only goes together with the root of its content. */
export function checkUnpin(pin: Pin): void {
  if (pin.type !== 'shard-pin' && pin.type !== 'clusterdag-pin') return
  const what = pin.type === 'shard-pin' ? 'shard' : 'Cluster DAG'
  throw new ClusterError(`cannot unpin a ${what} directly. Unpin content root CID instead`, {
    code: 'UNPIN_SHARD',
    cid: pin.cid.toString(),
  })
}

function withFactors(pin: Pin, defaults: Factors): Pin {
  const min = pin.replicationFactorMin === 0 ? defaults.replicationFactorMin : pin.replicationFactorMin
  const max = pin.replicationFactorMax === 0 ? defaults.replicationFactorMax : pin.replicationFactorMax
  const problem = factorProblem(min, max)
  if (problem !== undefined) throw new ClusterError(problem, { code: 'BAD_REPLICATION_FACTOR', min, max })
  const sized = { ...pin, replicationFactorMin: min, replicationFactorMax: max }
  return isPinEverywhere(sized) ? { ...sized, allocations: [] } : sized
}

function checkAgainst(pin: Pin, existing: Pin): void {
  const cid = pin.cid.toString()
  if (existing.type !== pin.type) {
    throw new ClusterError(
      'cannot repin CID with different tracking method, clear state with pin rm to proceed. ' +
        `New: ${pin.type}. Was: ${existing.type}`,
      { code: 'PIN_TYPE_MISMATCH', cid },
    )
  }
  if (existing.mode === 'recursive' && pin.mode !== 'recursive') {
    throw new ClusterError(
      'cannot repin a CID which is already pinned in recursive mode ' +
        `(new pin is pinned as ${pin.mode}). Unpin it first.`,
      { code: 'PIN_MODE_MISMATCH', cid },
    )
  }
  const problem = typeProblem(pin)
  if (problem !== undefined) throw new ClusterError(problem, { code: 'BAD_PIN', cid })
}

function typeProblem(pin: Pin): string | undefined {
  switch (pin.type) {
    case 'pin':
      return pin.reference === null ? undefined : 'data pins should not reference other pins'
    case 'shard-pin':
      // Of many links the shard has one level more; Go's text.
      return pin.maxDepth === 1 || pin.maxDepth === 2 ? undefined : 'must pin shards go depth 1'
    case 'clusterdag-pin':
      if (pin.maxDepth !== 0) return 'must pin roots directly'
      return pin.reference === null ? 'clusterDAG pins should reference a Meta pin' : undefined
    case 'meta-pin':
      if (pin.allocations.length > 0) return 'meta pin should not specify allocations'
      return pin.reference === null ? 'metaPins should reference a ClusterDAG' : undefined
    case 'bad-type':
      return 'unrecognized pin type'
  }
}
