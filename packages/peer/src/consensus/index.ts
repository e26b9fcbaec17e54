/**
 * Agreement on the pinset between peers. A port, so that another kind (Raft) fits in without touching cluster, state or tracker; the
 * CRDT kind over `@ipfs-cluster/crdt` and pubsub is here (Go: `consensus/crdt`, reference wire.md 3).
 *
 * It decides who may write (trust), not what is written (cluster) nor what becomes of it (tracker).
 */
export * from './types.ts'
export { createCrdtConsensus, type CrdtConsensusComponents } from './crdt-consensus.ts'
export { ConsensusError, type ConsensusFailure } from './errors.ts'
export {
  openOfflineState,
  repairMarkedState,
  type OfflineState,
  type OfflineStateComponents,
} from './offline.ts'
export { topicOf } from './topic.ts'
