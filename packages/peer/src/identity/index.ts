/**
 * Who this peer is: `identity.json` with the peer id and its private key (Go: `config/identity.go`, reference api.md 5.1).
 *
 * It knows files and keys, not the rest of the configuration; the environment comes in as a record.
 */
export * from './types.ts'
export * from './identity.ts'
