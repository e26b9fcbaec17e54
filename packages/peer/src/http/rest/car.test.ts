import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newPin } from '@ipfs-cluster/api'
import type { Cluster } from '../../cluster/index.ts'
import { CID1, mockCluster, NOT_FOUND_CID } from './mock-cluster.ts'
import { rawRequest, startTestApi } from './test-api.ts'

const PIECE = new Uint8Array(300_000).fill(0x78)

function exporting(
  pieces: (signal: AbortSignal | undefined) => AsyncGenerator<Uint8Array>,
): Partial<Cluster> {
  return {
    ...mockCluster(),
    exportCar: async (cid, { signal } = {}) => ({ pin: newPin(cid), car: pieces(signal) }),
  }
}

async function* failing(error: Error): AsyncGenerator<Uint8Array> {
  if (error.message !== '') throw error
  yield PIECE
}

const request = (method: string, cid: unknown, headers = '') =>
  `${method} /allocations/${cid}/car HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${headers}\r\n`

test('a CAR is sent as a file', async () => {
  await using api = await startTestApi(
    exporting(async function* () {
      yield PIECE
      yield Uint8Array.of(0x79)
    }),
  )
  const { status, headers, body } = await rawRequest(api.urls[0] ?? '', request('GET', CID1))
  assert.equal(status, 200)
  assert.match(headers['content-type'] ?? '', /^application\/vnd\.ipld\.car; version=1/)
  assert.equal(headers['content-disposition'], `attachment; filename="${CID1}.car"`)
  assert.equal(body.match(/x/g)?.length, PIECE.length)
  assert.match(body, /y\r\n0\r\nX-Stream-Error: \r\n\r\n$/)
})

test('HEAD tells whether there is one, and reads nothing', async () => {
  await using api = await startTestApi(exporting(() => failing(new Error('it was read'))))
  const [url = ''] = api.urls
  const { status, headers, body } = await rawRequest(url, request('HEAD', CID1))
  assert.equal(status, 200)
  assert.match(headers['content-type'] ?? '', /^application\/vnd\.ipld\.car/)
  assert.equal(body, '')
})

test('what is not pinned, or is no CID, has none', async () => {
  await using api = await startTestApi(mockCluster())
  const [url = ''] = api.urls
  const missing = await rawRequest(url, request('GET', NOT_FOUND_CID))
  assert.equal(missing.status, 404)
  assert.match(missing.body, /pin is not part of the pinset/)
  assert.equal((await rawRequest(url, request('HEAD', NOT_FOUND_CID))).status, 404)
  assert.equal((await rawRequest(url, request('GET', 'nonsense'))).status, 400)
  // As Go tells of any path that another method of a later route might have.
  assert.equal((await rawRequest(url, request('POST', CID1))).status, 404)
})

test('one that fails at once is an error with a status', async () => {
  await using api = await startTestApi(exporting(() => failing(new Error('nobody has it'))))
  const { status, headers, body } = await rawRequest(api.urls[0] ?? '', request('GET', CID1))
  assert.equal(status, 500)
  assert.equal(headers['content-type'], 'application/json')
  assert.match(body, /"message":"nobody has it"/)
})

test('half of one never looks whole', async () => {
  await using api = await startTestApi(
    exporting(async function* () {
      yield PIECE
      throw new Error('a block\nis missing')
    }),
  )
  const [url = ''] = api.urls
  const { status, body } = await rawRequest(url, request('GET', CID1))
  assert.equal(status, 200)
  assert.doesNotMatch(body, /\r\n0\r\n/)
  // Whoever reads trailers is told.
  const told = await rawRequest(url, request('GET', CID1, 'TE: trailers, deflate\r\n'))
  assert.match(told.body, /\r\n0\r\nX-Stream-Error: a block is missing\r\n\r\n$/)
})

test('when the client leaves, the work ends', async () => {
  const ended = Promise.withResolvers<void>()
  let pieces = 0
  await using api = await startTestApi(
    exporting(async function* (signal) {
      try {
        while (true) {
          signal?.throwIfAborted()
          pieces++
          yield PIECE
        }
      } finally {
        ended.resolve()
      }
    }),
  )
  const controller = new AbortController()
  const response = await fetch(`${api.urls[0]}/allocations/${CID1}/car`, { signal: controller.signal })
  const reader = response.body?.getReader()
  await reader?.read()
  controller.abort()
  await ended.promise
  // A client that does not read is waited for.
  assert.ok(pieces < 1000, `${pieces} pieces`)
})
