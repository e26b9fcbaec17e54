/** What the client has for Node alone: its transport, and uploads of files and folders. Exported as `@ipfs-cluster/api/node`. */
export { createNodeTransport, type NodeTransportConfig } from './node-transport.ts'
export { pathParts, type PathPartsOptions } from './node-paths.ts'
