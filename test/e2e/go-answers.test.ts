/** What a Go peer answered to bad requests, asked of ours over HTTP: the same status and message. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { after, before, test } from 'node:test'
import { waitFor } from '@ipfs-cluster/testkit'
import { startInProcessPeer, type InProcessPeer } from './in-process-peer.ts'

interface GoAnswer {
  readonly method: string
  readonly path: string
  readonly body?: string
  readonly status: number
  /** Of an error. */
  readonly message?: string
}

const fixture = new URL('../../packages/api/src/fixtures/go-answers.json', import.meta.url)
const { answers }: { answers: readonly GoAnswer[] } = JSON.parse(readFileSync(fixture, 'utf8'))

const NEEDS = 'hash function name not known: "'
/** Where we answer otherwise, and why. The message is a beginning. */
const OURS: Readonly<Record<string, readonly [why: string, status: number, message?: string]>> = {
  '/openapi.json': ['Go has no such route', 200],
  '/add?cid-version=2&stream-channels=false': [
    'known before the upload',
    400,
    'bad CID Version: unknown CID',
  ],
  '/add?cid-version=-1&stream-channels=false': [
    'known before the upload',
    400,
    'bad CID Version: unknown CID',
  ],
  '/add?hash=nope&stream-channels=false': ['lists what there is', 500, NEEDS],
  '/add?hash=md5&stream-channels=false': ['lists what there is', 500, NEEDS],
  '/add?hash=identity&stream-channels=false': ['lists what there is', 500, NEEDS],
  '/add?hash=sha2-512&stream-channels=false': [
    'says what to do',
    500,
    'the hash sha2-512 needs CID version 1',
  ],
  '/add?shard=true&stream-channels=false': [
    'shards have a size when none is given, but by now the content is pinned as a whole',
    500,
    'cannot repin CID with different tracking method',
  ],
  '/add?shard=true&shard-size=1&stream-channels=false': [
    'says how large the block is',
    500,
    "block doesn't fit in empty shard: shard size too small? The block has 13 bytes",
  ],
  '/add?format=car&stream-channels=false': ['says where it ends', 500, 'unexpected EOF: the CAR ends early'],
  '/add?chunker=rabin-1&stream-channels=false': ['Go would make chunks of nothing', 500, 'rabin min must be'],
}

const BOUNDARY = 'B'
const FORM = `--${BOUNDARY}\r
Content-Disposition: form-data; name="file"; filename="a.txt"\r
Content-Type: application/octet-stream\r
\r
hello\r
--${BOUNDARY}--\r
`

let here: InProcessPeer
const agent = new Agent({ keepAlive: true, maxSockets: 1 })

before(async () => {
  here = await startInProcessPeer()
})

after(async () => {
  agent.destroy()
  await here[Symbol.asyncDispose]()
})

/** Sends the path as it stands, which fetch would clean. */
async function ask(method: string, path: string, given?: string): Promise<{ status: number; text: string }> {
  const upload = path.startsWith('/add?')
  const { hostname, port } = new URL(here.url)
  const headers = upload ? { 'Content-Type': `multipart/form-data; boundary=${BOUNDARY}` } : {}
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>()
  const sent = request({ hostname, port, method, path, headers, agent }, response => {
    void Array.fromAsync(response)
      .then(chunks => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }))
      .catch(reject)
  })
  sent.on('error', reject)
  sent.end(upload ? FORM : given)
  return await promise
}

function errorOf(text: string): { code: number; message: string } {
  assert.match(text, /^\{"code":\d+,"message":".*"\}\n$/, 'one JSON document and nothing behind it')
  return JSON.parse(text)
}

for (const { method, path, body, status, message } of answers) {
  test(`${method} ${path} ${body ?? ''}`, async () => {
    const answer = await ask(method, path, body)
    const [, ourStatus = status, ourMessage = message] = OURS[path] ?? []
    assert.equal(answer.status, ourStatus, answer.text)
    if (ourStatus >= 400 && ourMessage !== undefined) {
      const error = errorOf(answer.text)
      assert.equal(error.code, ourStatus)
      if (OURS[path] === undefined) assert.equal(error.message, ourMessage)
      else assert.ok(error.message.startsWith(ourMessage), error.message)
    }
    // The next request finds what this one found.
    const pinned = method === 'POST' && path.startsWith('/pins/') && answer.status === 200
    const cid = pinned ? (JSON.parse(answer.text) as { cid: string }).cid : ''
    if (!pinned || (await ask('GET', `/allocations/${cid}`)).status !== 200) return
    const lists = async (filter = '') =>
      (await ask('GET', `/pins?local=true&filter=${filter}`)).status === 200
    // What is under way has been taken by the tracker; a pin that it is just taking would come up again later.
    await waitFor(() => lists('pinning,pinned,error'), { what: 'the pin under way' })
    await ask('DELETE', `/pins/${cid}`)
    await waitFor(async () => !(await lists()), { what: 'nothing pinned' })
  })
}

test('what was refused is not pinned', async () => {
  const { text } = await ask('GET', '/allocations')
  // A Go peer pins with what it could read of bad options, after telling that they are bad.
  assert.doesNotMatch(text, /bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy/)
})
