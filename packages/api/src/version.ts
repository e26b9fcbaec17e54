/** The release of Go's ipfs-cluster whose behaviour and version this implementation has. */
export const CLUSTER_VERSION = '1.1.6'
