import assert from 'node:assert/strict'
import { test } from 'node:test'
import { concatBytes, utf8 } from '@ipfs-cluster/base'
import { parseCid } from '../cid.ts'
import type { RouteHandlers } from '../route.ts'
import { serveRoutes } from '../test-server.ts'
import { createClient } from './client.ts'
import { createNodeTransport } from './node.ts'

const cid = parseCid('QmbrCtydGyPeHiLURSPMqrvE5mCgMCwFYq3UD4XLCeAYw6')
const PIECE = new Uint8Array(100_000).fill(7)

/** Fails after so many pieces, if at all. */
function exporter(pieces: number, failure?: Error): RouteHandlers['exportCar'] {
  return () => ({
    car: (async function* () {
      for (let i = 0; i < pieces; i++) yield PIECE
      if (failure !== undefined) throw failure
    })(),
  })
}

async function received(
  handler: RouteHandlers['exportCar'],
  transport?: ReturnType<typeof createNodeTransport>,
) {
  await using server = await serveRoutes({ exportCar: handler })
  const client = createClient({ hosts: [server.url] }, transport && { transport })
  const pieces: Uint8Array[] = []
  try {
    for await (const piece of client.exportCar({ cid })) pieces.push(piece)
    return { bytes: concatBytes(pieces), error: undefined, requests: server.requests }
  } catch (error) {
    return { bytes: concatBytes(pieces), error, requests: server.requests }
  }
}

for (const [name, open] of [
  ['Node', () => createNodeTransport()],
  ['fetch', () => undefined],
] as const) {
  test(`a CAR comes whole over ${name}`, async () => {
    const transport = open()
    const { bytes, error } = await received(exporter(20), transport)
    assert.equal(error, undefined)
    assert.equal(bytes.length, 20 * PIECE.length)
    transport?.[Symbol.dispose]()
  })

  test(`one that fails in the middle fails over ${name}`, async () => {
    const transport = open()
    const { bytes, error, requests } = await received(exporter(3, new Error('a block is missing')), transport)
    assert.ok(bytes.length <= 3 * PIECE.length)
    assert.ok(error instanceof Error)
    // Only who can read trailers learns why.
    if (transport === undefined) assert.match(error.message, /the answer broke off/)
    else assert.equal(error.message, 'a block is missing')
    assert.equal(requests[0]?.headers.te, transport === undefined ? undefined : 'trailers')
    transport?.[Symbol.dispose]()
  })
}

test('whoever leaves a CAR early gives up its connection', async () => {
  const left = Promise.withResolvers<void>()
  await using server = await serveRoutes({
    exportCar: () => ({
      car: (async function* () {
        try {
          while (true) yield utf8('x'.repeat(1_000_000))
        } finally {
          left.resolve()
        }
      })(),
    }),
  })
  using transport = createNodeTransport()
  const client = createClient({ hosts: [server.url] }, { transport })
  for await (const piece of client.exportCar({ cid })) {
    assert.ok(piece.length > 0)
    break
  }
  await left.promise
})
