import * as fc from 'fast-check'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { CID } from 'multiformats/cid'
import {
  addParamsToQuery,
  alertsCodec,
  DEFAULT_ADD_PARAMS,
  globalPinInfoCodec,
  idCodec,
  metricCodec,
  pinCodec,
  pinOptionsCodec,
  type PinListing,
  ROUTES,
  submittedPinCodec,
  TRACKER_STATUS,
  type JsonCodec,
  type JsonSchema,
  type RouteName,
} from '../index.ts'
import { anyGlobalPinInfo, anyPin, anyPinOptions } from '../test-arbitraries.ts'
import { resolve, schemaProblems } from '../test-json-schema.ts'
import { openApiDocument, ROUTE_DOCS } from './index.ts'

/** Of OAI/OpenAPI-Specification (Apache-2.0), `src/schemas/validation/schema.yaml` of version 3.1. */
const official = JSON.parse(
  readFileSync(new URL('../fixtures/openapi-3.1-schema.json', import.meta.url), 'utf8'),
)
const text = JSON.stringify(openApiDocument())
const openapi = JSON.parse(text)

interface Operation {
  readonly operationId: RouteName
  readonly parameters?: readonly { in: string; name: string; description: string; schema: JsonSchema }[]
  readonly responses: Readonly<Record<string, unknown>>
}

const operations = Object.entries<Record<string, Operation>>(openapi.paths).flatMap(([path, item]) =>
  Object.entries(item).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
)

test('the document is OpenAPI 3.1 by the official schema', () => {
  assert.deepEqual(schemaProblems(openapi, official), [])
})

test('the checker finds what is wrong', () => {
  const wrong: [string, object][] = [
    ['an unknown field', { ...openapi, swagger: '2.0' }],
    ['another version', { ...openapi, openapi: '3.0.3' }],
    ['no title', { ...openapi, info: { version: '1' } }],
    ['a path without a slash', { ...openapi, paths: { id: {} } }],
    [
      'a response without a description',
      { ...openapi, paths: { '/id': { get: { responses: { 200: {} } } } } },
    ],
    [
      'an optional path parameter',
      { ...openapi, paths: { '/x': { get: { parameters: [{ name: 'a', in: 'path', schema: {} }] } } } },
    ],
  ]
  for (const [what, document] of wrong) assert.notDeepEqual(schemaProblems(document, official), [], what)
})

test('every reference leads somewhere, and nothing is left over', () => {
  const references = new Set([...text.matchAll(/"\$ref":"([^"]*)"/g)].map(([, reference]) => reference ?? ''))
  for (const reference of references) resolve(reference, openapi)
  const places = [
    ...Object.keys(openapi.components.schemas).map(name => `#/components/schemas/${name}`),
    ...Object.keys(openapi.components.responses).map(name => `#/components/responses/${name}`),
  ]
  assert.deepEqual(
    places.filter(place => !references.has(place)),
    [],
  )
  assert.doesNotMatch(text, /"title":"(?!IPFS Cluster")/)
})

test('every route is described, under its own method and path, once', () => {
  assert.deepEqual(
    operations.map(({ operation }) => operation.operationId).sort(),
    Object.keys(ROUTES).sort(),
  )
  for (const { method, path, operation } of operations) {
    const route = ROUTES[operation.operationId]
    assert.equal(method, route.method)
    assert.equal(path, route.path.replaceAll(/:[^}]*\}/g, '}'))
    for (const parameter of operation.parameters ?? []) {
      assert.ok(parameter.description, `${path} ${parameter.name}`)
    }
  }
})

/** Arguments with every option set. */
const LISTING: PinListing = {
  filter: {
    name: 'n',
    match: 'prefix',
    metadata: { a: 'b' },
    peer: 'QmUZ13osndQ5uL4tPWHXe3iBgBgq9gfewcBMSCAuMBsDJ6',
    createdAfter: 1n,
    createdBefore: 2n,
  },
  limit: 1,
  cursor: { cid: CID.parse('QmbrCtydGyPeHiLURSPMqrvE5mCgMCwFYq3UD4XLCeAYw6'), name: 'n', created: 1n },
}

const FULL: Partial<Record<RouteName, object>> = {
  statusAll: { local: true, filter: 16, cids: [], listing: LISTING },
  recoverAll: { local: true },
  repoGC: { local: true },
  allocations: { typeBits: 2, listing: LISTING },
}

test('what the client sends is described, and what is described is read', () => {
  for (const name of Object.keys(FULL) as RouteName[]) {
    const encode = ROUTES[name].encode as (args: object) => { query?: URLSearchParams }
    const sent = [...(encode(FULL[name] ?? {}).query?.keys() ?? [])]
    assert.deepEqual(sent.sort(), ROUTE_DOCS[name].query?.map(parameter => parameter.name).sort())
  }
  const names = (route: RouteName) => ROUTE_DOCS[route].query?.map(parameter => parameter.name) ?? []
  const notSent = ['replication', 'expire-in', 'metadata']
  fc.assert(
    fc.property(anyPinOptions(), pin => {
      for (const key of addParamsToQuery({ ...DEFAULT_ADD_PARAMS, pin }).keys()) {
        assert.ok(names('add').includes(key) || key.startsWith('meta-'), key)
      }
    }),
  )
  const cid = CID.parse('QmbrCtydGyPeHiLURSPMqrvE5mCgMCwFYq3UD4XLCeAYw6')
  const everything = addParamsToQuery({
    ...DEFAULT_ADD_PARAMS,
    requireComplete: true,
    pin: {
      ...DEFAULT_ADD_PARAMS.pin,
      expireAt: 1n,
      pinUpdate: cid,
      origins: ['/ip4/1.2.3.4'],
      size: 1n,
      maxPinSize: 1n,
    },
  })
  assert.deepEqual(names('add').sort(), [...new Set([...everything.keys(), ...notSent])].sort())
  assert.deepEqual(
    names('pin').filter(name => !names('add').includes(name)),
    [],
  )
})

function holds<T>(codec: JsonCodec<T>, value: T): void {
  assert.deepEqual(schemaProblems(JSON.parse(codec.stringify(value)), codec.schema), [])
}

test('what the codecs write fits their schemas', () => {
  fc.assert(
    fc.property(anyPin(), pin => {
      holds(pinCodec, pin)
      holds(submittedPinCodec, pin)
      holds(pinOptionsCodec, pin)
    }),
  )
  const filters: number[] = [TRACKER_STATUS.error, TRACKER_STATUS.queued]
  fc.assert(
    fc.property(anyGlobalPinInfo(), info => {
      fc.pre(Object.values(info.peerMap).every(({ status }) => !filters.includes(status)))
      holds(globalPinInfoCodec, info)
    }),
  )
  const ipfs = { id: '', addresses: [], error: 'down' }
  const none = { addresses: [], clusterPeers: [], clusterPeersAddresses: [], version: '', commit: '' }
  holds(idCodec, { ...none, id: 'x', rpcProtocolVersion: '', error: 'gone', ipfs, peername: '' })
  const metric = {
    name: 'ping',
    peer: 'x',
    value: '',
    expire: 2n ** 62n,
    valid: true,
    weight: -1n,
    partitionable: false,
    receivedAt: 0n,
  }
  holds(metricCodec, metric)
  holds(alertsCodec, [{ ...metric, triggeredAt: null }])
})

test('a schema refuses what the codec would not write', () => {
  const { schema } = pinCodec
  const good = JSON.parse('{}')
  assert.notDeepEqual(schemaProblems(good, schema), [])
  assert.notDeepEqual(schemaProblems({ name: 5 }, schema), [])
})
