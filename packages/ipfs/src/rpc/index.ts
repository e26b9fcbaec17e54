/**
 * Kubo's RPC API (https://docs.ipfs.tech/reference/kubo/rpc/) of the built-in node: `commands.ts` is the table, the rest are handlers by
 * subject. It has what content, pins, blocks, DAGs, the repository and the swarm need; no MFS, no IPNS, no keys, no pubsub: commands
 * for those are unknown, or say so.
 *
 * It opens no port: whoever serves it gives it requests. As before Kubo's own, whoever reaches it may do everything; web pages may not.
 */
export * from './types.ts'
export { createKuboRpc } from './rpc.ts'
