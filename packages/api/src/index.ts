/**
 * What everybody who talks to a cluster shares: the types of the Go API (`api/types.go`) under their own names, their JSON and
 * protobuf codecs, the status bits, the error codes and the one route table from which server, client and ctl are built.
 *
 * Runs in a browser. It knows nothing of libp2p, storage or HTTP servers.
 */
export * from './types.ts'
export * from './status.ts'
export * from './status-listing.ts'
export * from './api-error.ts'
export * from './bulk.ts'
export * from './cid.ts'
export * from './json/index.ts'
export * from './multiaddr.ts'
export * from './peer-id.ts'
export * from './pin-protobuf.ts'
export * from './time.ts'
export * from './content-path.ts'
export * from './query.ts'
export * from './parse-query.ts'
export * from './match-route.ts'
export * from './route.ts'
export type { CidInput, LocalInput, NoInput, PathInput, StatusAllInput } from './route-inputs.ts'
export * from './routes.ts'
export * from './pin-filter.ts'
export * from './pin-info.ts'
export { PinLines } from './pin-lines.ts'
export { pinFacts, type PinFacts } from './pin-scan.ts'
export { compareUtf8 } from './utf8-order.ts'
export * from './version.ts'
