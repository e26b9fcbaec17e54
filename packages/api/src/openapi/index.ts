/**
 * The OpenAPI 3.1 document of the REST API, derived from the route table: paths and methods from `../routes.ts`, bodies and answers from
 * the codecs, words from `route-docs.ts`. Apart from the rest of the package, so that clients do not carry it along.
 */
export { openApiDocument } from './document.ts'
export { ROUTE_DOCS, TAGS, type RouteDoc } from './route-docs.ts'
export type { QueryParameter } from './parameters.ts'
