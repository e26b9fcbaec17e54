/**
 * Who this peer is: `identity.json` with the peer id and its private key (Go: `config/identity.go`, reference api.md 5.1).
 */
export * from './types.ts'
