/**
 * The cluster's services on the wire: the codec of every type and the table of every method, for callers and servers alike. It calls
 * and serves nothing; that is `@ipfs-cluster/gorpc`'s part.
 */
export * from './codecs.ts'
export * from './methods.ts'
export * from './status-page.ts'
