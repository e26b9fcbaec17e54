/** For the tests of this room: DAG nodes without a pinset around them. */
import { silentMeter, refusalsOf } from '@ipfs-cluster/base'
import { createNode, type CrdtNode, type NodeLink } from '@ipfs-cluster/crdt'
import { BulkServer } from './bulk-server.ts'

/** A node on top of `parents`; others of the same place differ by `mark`. */
export function testNode(priority: number, parents: readonly NodeLink[], mark = '', bytes = 100): CrdtNode {
  const value = new Uint8Array(bytes).fill(priority)
  return createNode(
    { elements: [{ key: `/${mark}${priority}`, id: '', value }], tombstones: [], priority },
    parents,
  )
}

/** `length` nodes, each linking to the one behind it: the head is first. */
export function testChain(length: number, mark = '', bytes = 100): CrdtNode[] {
  const nodes: CrdtNode[] = []
  for (let i = 1; i <= length; i++) nodes.unshift(testNode(i, nodes.slice(0, 1), mark, bytes))
  return nodes
}

export function serverOf(nodes: readonly CrdtNode[], refusals = refusalsOf(silentMeter, 'bulk')): BulkServer {
  const byCid = new Map(nodes.map(({ cid, data }) => [cid.toString(), data]))
  return new BulkServer({ block: cid => Promise.resolve(byCid.get(cid.toString())), refusals })
}

export async function* requestOf<T>(request: T): AsyncGenerator<T> {
  yield request
}
