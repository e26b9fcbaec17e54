import { addedOutputsCodec, errorCodec, type JsonSchema } from '../json/index.ts'
import type { RouteName } from '../route.ts'
import { ROUTES } from '../routes.ts'
import { CLUSTER_VERSION } from '../version.ts'
import { hoistShared } from './hoist.ts'
import { LOCAL, type QueryParameter } from './parameters.ts'
import { PATH_PARAMETERS, ROUTE_DOCS, TAGS, type RouteDoc } from './route-docs.ts'

type JsonObject = Readonly<Record<string, unknown>>

const DESCRIPTION = `The REST API of an IPFS Cluster peer.

Listings are streams: one JSON object a line, each sent as soon as it is known, or status 204 when there is nothing to list. An error after
the first line comes in the trailer \`X-Stream-Error\` (an empty value is no error; several errors are several values).

A failure before that has a status of 400 or more and an \`Error\` as its body. A path with a slash at its end is redirected (307) to the
one without. Integers of 64 bits, such as sizes, can be too large for a JSON reader that makes floats of them.

Peers without configured credentials need none; else each request but \`GET /health\` needs a user's password or token.`

const STREAM_ERROR = {
  'X-Stream-Error': {
    description: 'A trailer, behind the body: what went wrong after the first line. Empty: nothing did.',
    schema: { type: 'string' },
  },
}

/** The OpenAPI 3.1 document of the REST API, made of the route table, its codecs and `route-docs.ts`. JSON; do not change it. */
export function openApiDocument(): JsonObject {
  return (made ??= make())
}

let made: JsonObject | undefined

function make(): JsonObject {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const name of Object.keys(ROUTES) as RouteName[]) {
    const route = ROUTES[name]
    const path = route.path.replaceAll(/\{(\w+):[^}]*\}/g, '{$1}')
    const item = (paths[path] ??= {})
    item[route.method.toLowerCase()] = operation(name, ROUTE_DOCS[name])
  }
  const { document, schemas } = hoistShared({ paths, components: { responses: FAILURES } })
  const { components, ...rest } = document as { components: JsonObject }
  return {
    openapi: '3.1.0',
    info: { title: 'IPFS Cluster', version: CLUSTER_VERSION, description: DESCRIPTION },
    servers: [{ url: '/' }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    security: [{ basic: [] }, { bearer: [] }, {}],
    ...rest,
    components: { ...components, schemas, securitySchemes: SECURITY_SCHEMES },
  }
}

const SECURITY_SCHEMES = {
  basic: { type: 'http', scheme: 'basic', description: 'A user and password of the configuration.' },
  bearer: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description:
      'A token of `POST /token`, or one made like it: signed with the password (HMAC), the user as `iss`.',
  },
}

function operation(name: RouteName, doc: RouteDoc): JsonObject {
  const { tag, summary, description, query = [], body, lines, open } = doc
  const parameters = [...pathParameters(ROUTES[name].path), ...query.map(queryParameter)]
  const requestBody =
    lines === undefined ? requestBodyOf(name, body) : { required: true, content: ndjson(lines) }
  return {
    operationId: name,
    tags: [tag],
    summary,
    ...(description !== undefined && { description }),
    ...(parameters.length > 0 && { parameters }),
    ...(requestBody !== undefined && { requestBody }),
    responses: { ...success(name), ...failuresOf(name, doc) },
    ...(open === true && { security: [] }),
  }
}

function pathParameters(path: string): JsonObject[] {
  return [...path.matchAll(/\{(\w+)(?::([^}]*))?\}/g)].map(([, name = '', choice = '']) => ({
    name,
    in: 'path',
    required: true,
    description: PATH_PARAMETERS[name],
    schema: { type: 'string', ...(choice.includes('|') && { enum: choice.split('|') }) },
  }))
}

function queryParameter({ name, description, schema }: QueryParameter): JsonObject {
  return { name, in: 'query', description, schema }
}

function requestBodyOf(name: RouteName, body: JsonSchema | undefined): JsonObject | undefined {
  if (ROUTES[name].kind === 'add') {
    const part = { type: 'string', contentMediaType: 'application/octet-stream' }
    const schema = { type: 'object', properties: { file: { type: 'array', items: part } } }
    return { required: true, content: { 'multipart/form-data': { schema } } }
  }
  return body === undefined ? undefined : { required: true, content: json(body) }
}

const json = (schema: JsonSchema): JsonObject => ({ 'application/json': { schema } })

function success(name: RouteName): JsonObject {
  const { kind, output } = ROUTES[name]
  if (kind === 'car') return { 200: CAR_ANSWER }
  if (output === null) return { 204: { description: 'Done.' } }
  const { schema } = output
  switch (kind) {
    case 'json':
      return { 200: { description: 'Done.', content: json(schema) } }
    case 'stream':
      return {
        200: {
          description: 'One object a line; the schema is that of a line.',
          headers: STREAM_ERROR,
          content: ndjson(schema),
        },
        204: { description: 'Nothing to list.' },
      }
    case 'bulk':
      return {
        200: {
          description: 'One object a line of the body, in its order; the schema is that of a line.',
          headers: STREAM_ERROR,
          content: ndjson(schema),
        },
        204: { description: 'The body has no lines.' },
      }
    case 'add':
      return {
        200: {
          description:
            'One object a line while the upload is read; a failure is told in the trailer alone. With `stream-channels=false`: one list, when all is done.',
          headers: STREAM_ERROR,
          content: ndjson({ anyOf: [schema, addedOutputsCodec.schema] }),
        },
      }
  }
}

const CAR_ANSWER = {
  description:
    'A CARv1. When it fails in the middle the connection breaks, or, if the request says `TE: trailers`, the trailer tells why.',
  headers: {
    ...STREAM_ERROR,
    'Content-Disposition': {
      description: 'Names the file by its CID.',
      schema: { type: 'string' },
    },
  },
  content: {
    'application/vnd.ipld.car': { schema: { type: 'string', contentMediaType: 'application/vnd.ipld.car' } },
  },
}

/** Go sends lines of JSON as `application/json`, too: what tells them apart is an extension. */
function ndjson(schema: JsonSchema): JsonObject {
  return { 'application/json': { schema, 'x-ndjson': true } }
}

const FAILURES = {
  400: failure('Something in the request cannot be read; the message says what.'),
  401: {
    ...failure('Credentials are needed, or wrong.'),
    headers: { 'WWW-Authenticate': { description: 'What is needed.', schema: { type: 'string' } } },
  },
  429: {
    ...failure('Too many changes of the pinset are under way.'),
    headers: { 'Retry-After': { description: 'Seconds to wait.', schema: { type: 'string' } } },
  },
  500: failure('It failed; the message says why.'),
  507: failure('The disk of the peer is full; nothing was changed, and the same will do once there is room.'),
}

function failure(description: string): JsonObject {
  return { description, content: json(errorCodec.schema) }
}

function failuresOf(
  name: RouteName,
  { query = [], body, failures = {}, writes, open }: RouteDoc,
): JsonObject {
  // Any name of a metric, and any text for `local`, is taken.
  const refusable =
    body !== undefined ||
    query.some(each => each !== LOCAL) ||
    /\{(hash|peer|keyType)/.test(ROUTES[name].path)
  const statuses = [
    ...(refusable ? [400] : []),
    ...(open === true ? [] : [401]),
    ...(writes === true ? [429] : []),
    500,
    ...(writes === true ? [507] : []),
  ]
  return {
    ...Object.fromEntries(statuses.map(status => [status, { $ref: `#/components/responses/${status}` }])),
    ...Object.fromEntries(Object.entries(failures).map(([status, text]) => [status, failure(text)])),
  }
}
