/**
 * What every HTTP door of a peer shares: listening on multiaddrs, TLS, limits and time-outs, who may ask, cross-origin rules, the request
 * log, NDJSON streams with the error in a trailer, and uploads (Go: `api/common`; reference api.md 1.1). It knows no route.
 */
export { serveAdd, type AddAnswer, type AddExchange } from './add.ts'
export { answerUnmatched, sendJson, type ApiCall, type ApiHeaders } from './api-handler.ts'
export { createAuthenticator, type Authenticator, type Credentials } from './auth.ts'
export type { ConnectionSource } from './connection-source.ts'
export { createCors, type Cors, type CorsConfig } from './cors.ts'
export { HttpError, type HttpFailure } from './errors.ts'
export { readBody } from './body.ts'
export { httpStatusOf, RETRY_AFTER_S } from './status.ts'
export { discardRest } from './discard-rest.ts'
export { createHttpMetrics, type HttpMetrics } from './metrics.ts'
export { uploadParts } from './multipart.ts'
export { logRequestsTo, openRequestLog } from './request-log.ts'
export { requestLines, type LineLimits, type RequestLines } from './request-lines.ts'
export { continueBody, takeTimeouts, type HttpHandler } from './serve.ts'
export { createApiServer, type HttpApiConfig } from './api-server.ts'
export { createHttpServer, type HttpServer, type HttpServerConfig } from './server.ts'
export { drained, oneLine, sendStream, StreamWriter } from './stream.ts'
export { parseTarget, unescapedPath } from './target.ts'
export { tlsProblem, type TlsIdentity } from './tls.ts'
