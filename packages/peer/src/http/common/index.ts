/**
 * What every HTTP door of a peer shares: listening on multiaddrs, limits and time-outs, the request log, NDJSON streams with the error in a
 * trailer, and uploads (Go: `api/common`; reference api.md 1.1). It knows no route.
 */
export { HttpError, type HttpFailure } from './errors.ts'
export { formatRequestLog } from './request-log.ts'
export { discardRest } from './discard-rest.ts'
export { uploadParts } from './multipart.ts'
export { createHttpServer, type HttpServer, type HttpServerConfig } from './server.ts'
export { sendStream, StreamWriter } from './stream.ts'
