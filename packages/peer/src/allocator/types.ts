import type { Metric, PeerId } from '@ipfs-cluster/api'
import { CodedError } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'

export interface AllocatorConfig {
  /** Metric names, most important first. */
  readonly allocateBy: readonly string[]
}

export interface AllocationRequest {
  /** For each name of `allocateBy`, the latest valid metrics. */
  readonly metrics: Readonly<Record<string, readonly Metric[]>>
  readonly allocateBy: readonly string[]
  /** Where it is now. */
  readonly current: readonly PeerId[]
  /** Peers to prefer. */
  readonly priority: readonly PeerId[]
  /** Never chosen, nor counted as copies. They only remain in a `current` that needs no change. */
  readonly exclude: readonly PeerId[]
  readonly replicationFactorMin: number
  readonly replicationFactorMax: number
  /** Decides between peers that the metrics do not tell apart, so that such pins spread; without it, the order of peer ids. */
  readonly cid?: CID
  /** Bytes that it needs, where they are known, and peers that have less: they are not added. */
  readonly room?: { readonly bytes: bigint; readonly without: ReadonlySet<PeerId> }
}

export interface AllocatorFailure {
  readonly code: 'NOT_ENOUGH_PEERS'
  /** Peers to be added at least, and at most. */
  readonly needed: number
  readonly wanted: number
  /** Peers that could be added. */
  readonly available: number
  /** Peers that could be added, had they more free space. */
  readonly full?: number
}

export class AllocatorError extends CodedError<AllocatorFailure> {
  override readonly name = 'AllocatorError'
}
