/**
 * The use cases: pin, unpin, update, status, recover, add, peers, re-pinning and expiry, over the rooms below (Go: `cluster.go`;
 * reference wire.md 8). HTTP and RPC are two doors to it: `rpc-service.ts` is the RPC one.
 *
 * `prepare.ts`, `closest.ts` and `merge-status.ts` decide; `pinning.ts`, `status.ts`, `members.ts` and `loops.ts` act.
 */
export * from './types.ts'
export * from './errors.ts'
export { createCluster, type ClusterComponents } from './cluster.ts'
export { describePeer } from './peer-view.ts'
export { globalPinInfo } from './merge-status.ts'
export { ExportError, type ExportedCar, type ExportFailure } from './export.ts'
export { createScratch } from './scratch-store.ts'
export { createTurns } from './turns.ts'
