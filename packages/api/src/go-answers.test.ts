import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { ApiError, matchRoute, parseQuery, ROUTES } from './index.ts'

/** What a Go peer answered to a request, most of them bad. */
interface GoAnswer {
  readonly method: string
  readonly path: string
  readonly body?: string
  readonly status: number
  /** Of an error. */
  readonly message?: string
}

const { answers }: { answers: readonly GoAnswer[] } = JSON.parse(
  readFileSync(new URL('./fixtures/go-answers.json', import.meta.url), 'utf8'),
)

const NOW = 1_700_000_000_000_000_000n

/** Status and message as far as reading the request decides them; 200 when a handler would be called. */
function read({ method, path, body }: GoAnswer): readonly [status: number, message?: string] {
  const [escaped = '', query = ''] = path.split('?')
  const match = matchRoute(method, escaped)
  if (match.kind === 'redirect') return [match.status]
  if (match.kind === 'error') return match.status === 404 ? [404, 'not found'] : [match.status]
  try {
    const request = { params: match.params, query: parseQuery(query), nowNs: NOW }
    ROUTES[match.name].decode({ ...request, ...(body !== undefined && { body }) })
    return [200]
  } catch (error) {
    if (error instanceof ApiError && error.code === 'BAD_PARAMETER') return [400, error.message]
    throw error
  }
}

/** Where we answer otherwise. */
const OURS: Readonly<Record<string, readonly [status: number, message?: string]>> = {
  // Known from the start, so that nothing of the upload need be read. Go says so after it, with status 500.
  '/add?cid-version=2&stream-channels=false': [400, 'bad CID Version: unknown CID version: 2'],
  '/add?cid-version=-1&stream-channels=false': [400, 'bad CID Version: unknown CID version: -1'],
  // Go has no such route.
  '/openapi.json': [200],
}

for (const answer of answers) {
  const { method, path, body, status, message } = answer
  test(`${method} ${path} ${body ?? ''}`, () => {
    // Reading decides of these alone; for all others it must let the handler answer.
    const decided = [301, 307, 400, 405].includes(status) || message === 'not found'
    const go = decided ? [status, message] : [200]
    const wanted = OURS[path] ?? go
    assert.deepEqual(
      read(answer).filter(part => part !== undefined),
      wanted.filter(part => part !== undefined),
    )
  })
}

test('long input is refused, in short time', () => {
  const long: [string, string][] = [
    ['/pins/' + 'b'.repeat(5000), 'error decoding Cid: invalid cid: more than 4096 characters'],
    ['/pins/z' + '1'.repeat(5000), 'error decoding Cid: invalid cid: more than 256 characters'],
    [`/pins/${'Q'.repeat(5000)}`, 'error decoding Cid: invalid cid: selected encoding not supported'],
  ]
  for (const [path, message] of long) {
    assert.deepEqual(read({ method: 'GET', path, status: 400 }), [400, message])
  }
  const origins = `origins=/dns4/${'x'.repeat(2000)}`
  const [status, message] = read({ method: 'POST', path: `/pins/ipns/x?${origins}`, status: 400 })
  assert.equal(status, 400)
  assert.match(message ?? '', /: more than 1024 characters$/)
})
