/**
 * A replicated key-value set over a Merkle-DAG of deltas, byte-compatible with go-ds-crdt 0.6.8 as ipfs-cluster 1.1.6 configures it
 * (reference wire.md 3): add-wins observed-remove set, last writer wins by priority, heads gossiped, nodes fetched by CID.
 *
 * Pure rules (`delta.ts`, `merge.ts`, `heads.ts`, `commit-plan.ts`, `skip-links.ts`) behind three ports: `Store` for the rows (`layout.ts`,
 * `spill.ts`), `CrdtBlocks` for nodes of others, `CrdtBroadcast` for heads. All effects of a DAG node are one durable batch. It knows nothing of pins.
 */
export * from './types.ts'
export { createCrdt, defaultCrdtConfig, type CrdtComponents } from './crdt.ts'
export { CrdtError, InvalidNodeError, type CrdtFailure, type InvalidReason } from './errors.ts'
export { CRDT_PREFIX } from './layout.ts'
export {
  decodeBroadcast,
  decodeDelta,
  encodeBroadcast,
  encodeDelta,
  type Delta,
  type DeltaElement,
} from './delta.ts'
export { blockIdText, createNode, decodeNode, linkOf, type CrdtNode, type NodeLink } from './node.ts'
export * from './offline.ts'
