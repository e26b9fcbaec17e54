/**
 * The way to the IPFS daemon beside this peer: Kubo over its HTTP RPC, or the built-in node in this process. One port, two adapters,
 * one conformance suite (Go: `ipfsconn/ipfshttp`; reference wire.md 10).
 */
export * from './types.ts'
