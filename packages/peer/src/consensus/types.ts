import type { Pin, PeerId } from '@ipfs-cluster/api'
import type { AbortOptions } from '@ipfs-cluster/base'
import type { CrdtStats } from '@ipfs-cluster/crdt'
import type { CID } from 'multiformats/cid'
import type { BlocksReply, BlocksRequest } from '../net/index.ts'
import type { PinChanges, PinState } from '../state/index.ts'

export interface CrdtConsensusConfig {
  /** The pubsub topic is derived from it. */
  readonly clusterName: string
  /** Peer ids that may write; empty = nobody else, `all` = everybody in the network. */
  readonly trustedPeers: readonly PeerId[] | 'all'
  /** Both > 0: commits wait up to the age or size before they become one delta. */
  readonly batching: {
    readonly maxBatchSize: number
    readonly maxBatchAgeMs: number
    readonly maxQueueSize: number
  }
  readonly rebroadcastIntervalMs: number
}

export interface Consensus extends AsyncDisposable {
  readonly state: PinState
  readonly changes: PinChanges
  /** Resolves when the pin is durable here. */
  logPin(pin: Pin, options?: AbortOptions): Promise<void>
  logUnpin(cid: CID, options?: AbortOptions): Promise<void>
  /** All of them in one commit, in order. Resolves when all are durable here. */
  logPins(pins: readonly Pin[], options?: AbortOptions): Promise<void>
  /** All of them in one commit. */
  logUnpins(cids: readonly CID[], options?: AbortOptions): Promise<void>
  isTrusted(peer: PeerId): boolean
  /** From now on this peer may write. */
  trust(peer: PeerId): Promise<void>
  /** Members known to the consensus itself; `undefined` when membership is by metrics (CRDT). */
  members(): readonly PeerId[] | undefined
  /** @throws where membership cannot be changed (CRDT). */
  removePeer(peer: PeerId, options?: AbortOptions): Promise<void>
  stats(): CrdtStats
  /**
   * Nodes of the pinset's DAG for another peer: those wanted, then some that they link to. Only the first request is answered.
   *
   * @throws ConsensusError `CONSENSUS_BLOCKS_LIMIT`.
   */
  blocks(
    peer: PeerId,
    requests: AsyncIterable<BlocksRequest>,
    options?: AbortOptions,
  ): AsyncIterable<BlocksReply>
}
