/**
 * The REST API (Go: `api/rest`, `api/common`; reference api.md 1): maps the routes of `@ipfs-cluster/api` to the use cases of
 * `cluster`, errors to statuses, and streams to NDJSON with the error in a trailer.
 */
export * from './types.ts'
export { createRestApi, type RestApiComponents } from './rest-api.ts'
