/**
 * The REST client, made from the route table (`../routes.ts`): `createClient` gives one method a route. It runs in a browser; the
 * transport of Node is apart, in `node-transport.ts`.
 */
export {
  createClient,
  type ClientComponents,
  type ClientConfig,
  type ClientResult,
  type ClusterClient,
} from './client.ts'
export type { PinLine, PinManyArgs, UnpinManyArgs } from './bulk.ts'
export type { Strategy } from './sender.ts'
export { fileParts, filePart, type FileContent } from './parts.ts'
export type { AddArgs, UploadProgress } from './upload.ts'
export { createFetchTransport } from './fetch-transport.ts'
export { multipartBody, queryEscape } from './multipart.ts'
export { statusReached, type WaitForArgs } from './wait-for.ts'
export type { HttpAnswer, HttpCall, HttpTransport } from './transport.ts'
