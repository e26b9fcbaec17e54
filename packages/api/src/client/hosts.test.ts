import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createClient, type ClientConfig, type HttpCall, type HttpTransport } from './index.ts'

/** Answers by host: a version, a failure, or nothing until the request is given up. */
function transportOf(hosts: Readonly<Record<string, string | Error | 'hangs'>>) {
  const asked: string[] = []
  const transport: HttpTransport = {
    readsTrailers: true,
    async send({ host }: HttpCall, { signal } = {}) {
      asked.push(host)
      const answer = hosts[host]
      if (answer instanceof Error) throw answer
      if (answer === 'hangs') {
        await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
      }
      async function* body() {
        yield Buffer.from(JSON.stringify({ version: answer }))
      }
      return { status: 200, body: body(), trailer: () => [] }
    },
  }
  const client = (config: Partial<ClientConfig> = {}) =>
    createClient({ hosts: Object.keys(hosts), ...config }, { transport })
  return { asked, client }
}

const DOWN = new Error('down')

test('fail-over: from the first host on, each request anew', async () => {
  const { asked, client } = transportOf({ a: DOWN, b: DOWN, c: '3' })
  const { version } = client()
  assert.deepEqual(await version(), { version: '3' })
  assert.deepEqual(await version(), { version: '3' })
  assert.deepEqual(asked, ['a', 'b', 'c', 'a', 'b', 'c'])
})

test('round robin: hosts take turns, over all requests', async () => {
  const { asked, client } = transportOf({ a: '1', b: DOWN, c: '3' })
  const { version } = client({ strategy: 'round-robin' })
  for (const expected of ['1', '3', '1', '3']) assert.deepEqual(await version(), { version: expected })
  assert.deepEqual(asked, ['a', 'b', 'c', 'a', 'b', 'c'])
})

test('as many tries as hosts, or as asked for; the error names each', async () => {
  const all = { a: DOWN, b: new Error('gone') }
  const failure = { code: 'API_UNREACHABLE', message: 'GET a/version: down; GET b/version: gone' }
  await assert.rejects(transportOf(all).client().version(), failure)
  const more = transportOf(all)
  await assert.rejects(more.client({ tries: 3 }).version(), { code: 'API_UNREACHABLE' })
  assert.deepEqual(more.asked, ['a', 'b', 'a'])
  const once = transportOf(all)
  await assert.rejects(once.client({ tries: 1 }).version(), { message: 'GET a/version: down' })
  await assert.rejects(transportOf({}).client().version(), { message: 'no host is configured' })
})

test('each try has its own time, and an abort ends all', async () => {
  const slow = transportOf({ a: 'hangs', b: '2' })
  assert.deepEqual(await slow.client({ timeoutMs: 20 }).version(), { version: '2' })
  const left = transportOf({ a: 'hangs', b: '2' })
  const abort = new AbortController()
  const call = left.client().version({}, { signal: abort.signal })
  abort.abort(new Error('enough'))
  await assert.rejects(call, { message: 'enough' })
  assert.deepEqual(left.asked, ['a'])
})

test('a token is sent as such, and goes before a password', async () => {
  const sent: (string | undefined)[] = []
  const transport: HttpTransport = {
    readsTrailers: true,
    async send({ headers }) {
      sent.push(headers['Authorization'])
      async function* body() {}
      return { status: 204, body: body(), trailer: () => [] }
    },
  }
  const credentials = { user: 'u', password: 'p' }
  await createClient({ hosts: ['a'], token: 't.t.t' }, { transport }).health()
  await createClient({ hosts: ['a'], token: 't.t.t', credentials }, { transport }).health()
  await createClient({ hosts: ['a'], credentials }, { transport }).health()
  await createClient({ hosts: ['a'] }, { transport }).health()
  assert.deepEqual(sent, ['Bearer t.t.t', 'Bearer t.t.t', 'Basic dTpw', undefined])
})
