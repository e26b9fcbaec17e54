import type { Metric, PeerId } from '@ipfs-cluster/api'

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
  /** Never these. */
  readonly exclude: readonly PeerId[]
  readonly replicationFactorMin: number
  readonly replicationFactorMax: number
}
