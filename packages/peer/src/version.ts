/** The release of the Go implementation whose protocols, APIs and files this peer speaks. */
export const COMPATIBLE_VERSION = '1.1.6'

/** Version of this implementation, as build metadata behind the compatible one (Go: `1.1.6+git<commit>`). */
export const VERSION = `${COMPATIBLE_VERSION}+ts.0.1.0`

export const RPC_PROTOCOL_VERSION = '/ipfscluster/1.0/rpc'
