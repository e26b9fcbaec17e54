/** libp2p protocol whose streams carry HTTP/1.1 as a TCP connection does (Go: `go-libp2p-http`). */
export const HTTP_PROTOCOL = '/libp2p-http'
