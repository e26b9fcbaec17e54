/**
 * go-libp2p-gorpc 0.6 for js-libp2p: one libp2p stream a call, msgpack objects back to back, unary and streaming calls, an
 * authorisation hook on the server. Formats: reference wire.md 5.1 and 5.2 (Go: `client.go`, `server.go`; ugorji `MsgpackHandle`).
 *
 * Among peers of this implementation, unary calls share one long stream a peer instead (`MUX_PROTOCOL`, `mux-frame.ts`): opening a stream
 * costs more than such a call.
 *
 * It knows no service of the cluster: methods are described by the caller with `RpcMethod` and codecs built from `codec.ts`.
 * It opens no connections: the caller hands in streams.
 */
export * from './types.ts'
export * from './msgpack.ts'
export * from './codec.ts'
export * from './rpc-error.ts'
export * from './handler.ts'
export * from './client.ts'
export * from './server.ts'
export type { RpcMethods } from './method-table.ts'
export type { MuxDialer } from './mux-pool.ts'
export { MAX_OBJECT_BYTES, MUX_PROTOCOL, RPC_PROTOCOL, type RpcStream } from './protocol.ts'
