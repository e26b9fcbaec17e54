import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { ExitResult } from '@ipfs-cluster/testkit'
import { waitFor } from '@ipfs-cluster/testkit'
import { CID } from 'multiformats/cid'
import { pinset, startCluster, statusByPeer, type TestCluster, type TestPeer } from './cluster.ts'

/** Bytes that each peer may store. */
const STORAGE_MAX = 6_000_000
const BOUNDARY = 'e2e-boundary'

let cluster: TestCluster
let first: TestPeer
let second: TestPeer

before(async () => {
  cluster = await startCluster(2, config => {
    const { embedded } = config.ipfs_connector
    assert.ok(embedded)
    return { ...config, ipfs_connector: { embedded: { ...embedded, storage_max: STORAGE_MAX } } }
  })
  ;[first, second] = cluster.peers as [TestPeer, TestPeer]
})

after(async () => {
  await cluster[Symbol.asyncDispose]()
})

const nothingIsPinned = async () => {
  for (const peer of cluster.peers) assert.deepEqual(await pinset(peer), [])
}

const localError = ({ code, stdout, stderr }: ExitResult, reason: RegExp) => {
  assert.match(stderr, reason)
  assert.equal(stdout, '')
  assert.equal(code, 1)
}

const apiError = ({ code, stdout }: ExitResult, status: number, message: string | RegExp) => {
  const [, found, text] = /^An error occurred:\n {2}Code: (\d+)\n {2}Message: (.*)\n$/s.exec(stdout) ?? []
  assert.equal(Number(found), status, stdout)
  if (typeof message === 'string') assert.equal(text, message)
  else assert.match(text ?? '', message)
  assert.equal(code, status === 0 ? 1 : 2)
}

const cidOfNothing = 'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy'

test('what ctl can see for itself is refused before anything is sent', async () => {
  const empty = join(cluster.folder, 'empty-folder')
  await mkdir(empty)
  localError(await first.ctl(['status', 'not-a-cid']), /^error parsing cid: /)
  localError(await first.ctl(['pin', 'add', 'not-a-cid']), /^error : invalid path .*: invalid cid/)
  localError(await first.ctl(['recover', 'QmNot']), /^error parsing cid: /)
  localError(await first.ctl(['peers', 'rm', 'nobody']), /^error parsing peer ID: /)
  localError(await first.ctl(['add']), /^error : need at least one path\n/)
  localError(await first.ctl(['add', empty]), /is a directory, but Recursive option is not set/)
  const gone = join(cluster.folder, 'no-such-file')
  localError(await first.ctl(['add', gone]), new RegExp(`^error : .*${gone}: no such file or directory\n`))
  localError(
    await first.ctl(['pin', 'add', '--expire-in', 'tomorrow', cidOfNothing]),
    /^error parsing expire-in: /,
  )
  const allocations = await first.ctl(['pin', 'add', '--allocations', 'x,y', cidOfNothing])
  localError(allocations, /^error decoding allocations: some peer IDs could not be decoded\n/)
  assert.equal((await first.ctl(['pinn'])).code, 3)
  await nothingIsPinned()
})

test('what the peer refuses has its code and text, and leaves nothing in the pinset', async () => {
  apiError(await first.ctl(['pin', 'rm', cidOfNothing]), 404, 'pin is not part of the pinset')
  apiError(await first.ctl(['pin', 'ls', cidOfNothing]), 404, 'pin is not part of the pinset')
  apiError(
    await first.ctl(['pin', 'add', '--replication', '5', cidOfNothing]),
    500,
    'not enough peers to allocate CID. Needed at least: 5. Wanted at most: 5. Available candidates: 2. See logs for more info.',
  )
  apiError(
    await first.ctl(['pin', 'add', '--rmin', '3', '--rmax', '2', cidOfNothing]),
    500,
    'cluster.replication_factor_min is larger than max',
  )
  apiError(await first.ctl(['pin', 'add', '--expire-in', '1ms', cidOfNothing]), 500, /before current time/)
  await nothingIsPinned()
})

test('requests by hand: bad parameters, an expiry in the past, unknown paths', async () => {
  const post = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(`${first.restUrl}${path}`, {
      method: 'POST',
      signal: AbortSignal.timeout(10_000),
      ...init,
    })
    return { status: response.status, text: await response.text() }
  }
  const past = await post(`/pins/${cidOfNothing}?expire-at=2001-02-03T04:05:06Z`)
  assert.deepEqual(
    { ...past, text: JSON.parse(past.text) },
    {
      status: 500,
      text: { code: 500, message: 'pin.ExpireAt set before current time' },
    },
  )
  const bad = ['replication-min=x', 'expire-at=yesterday', 'expire-in=1ms', 'origins=nowhere', 'pin-update=x']
  for (const query of bad) {
    const { status, text } = await post(`/pins/${cidOfNothing}?${query}`)
    assert.equal(status, 400, `${query}: ${text}`)
    assert.equal(JSON.parse(text).code, 400)
  }
  assert.equal((await post('/pins/xyz')).status, 400)
  assert.equal((await post('/no/such/route')).status, 404)
  assert.equal((await post('/peers', { body: '{"peer_id": ' })).status, 400)
  assert.equal((await post('/peers', { body: 'x'.repeat(2_000_000) })).status, 400)
  assert.equal((await post('/add', { body: 'no form' })).status, 400)
  const noChunks = await post('/add?chunker=size-0&stream-channels=false', form(['a', 'a']))
  assert.match(noChunks.text, /chunker size must be greater than 0/)
  const header = await fetch(`${first.restUrl}/id`, { headers: { 'X-Long': 'y'.repeat(20_000) } })
  assert.equal(header.status, 431)
  await nothingIsPinned()
  assert.equal((await fetch(`${first.restUrl}/id`)).status, 200)
})

/** A multipart upload of files by name and content. */
function form(...files: readonly (readonly [string, string])[]): RequestInit {
  const body = new FormData()
  for (const [name, content] of files) body.append('file', new Blob([content]), name)
  return { body }
}

test('an add of nothing is an error', async () => {
  const response = await fetch(`${first.restUrl}/add?stream-channels=false`, {
    method: 'POST',
    headers: { 'Content-Type': `multipart/form-data; boundary=${BOUNDARY}` },
    body: `--${BOUNDARY}--\r\n`,
  })
  assert.ok(response.status >= 400, `${response.status}`)
  assert.match(JSON.parse(await response.text()).message, /no parts|nothing to add|error reading request/)
  await nothingIsPinned()
})

test('an upload that is cut in the middle leaves nothing pinned', async () => {
  const { hostname, port } = new URL(first.restUrl)
  const head = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="cut.bin"\r\nContent-Type: application/octet-stream\r\n\r\n`
  const upload = request({
    hostname,
    port,
    method: 'POST',
    path: '/add?stream-channels=true&progress=true',
    headers: { 'Content-Type': `multipart/form-data; boundary=${BOUNDARY}`, 'Content-Length': 50_000_000 },
  })
  upload.on('error', () => undefined)
  let working = false
  upload.on('response', response => {
    response.on('error', () => undefined)
    response.once('data', () => (working = true))
  })
  upload.write(head)
  upload.write(randomBytes(1_000_000))
  await waitFor(() => working, { what: 'the peer is working on it' })
  upload.destroy()
  await waitFor(() => /POST .*\/add\?stream-channels=true&progress/.test(first.process.stderr), {
    what: 'the peer has ended the request',
  })
  await nothingIsPinned()
  const ended = await Array.fromAsync(first.client.statusAll({}))
  assert.deepEqual(ended, [])
})

test('a file that cannot be read ends the add, with nothing pinned', async t => {
  const locked = join(cluster.folder, 'locked.bin')
  await writeFile(locked, 'secret')
  await chmod(locked, 0o000)
  // The superuser may read everything but this.
  const path = process.getuid?.() === 0 ? '/proc/self/mem' : locked
  if (path !== locked && process.platform !== 'linux') {
    t.skip('the superuser can read everything here')
    return
  }
  const added = await first.ctl(['add', path])
  assert.equal(added.code, 1, added.stdout)
  assert.match(added.stderr, /^error : .*(permission denied|i\/o error)/)
  await nothingIsPinned()
})

test('content that does not fit is refused by the limit and unpinned; smaller content still fits', async () => {
  const large = join(cluster.folder, 'large.bin')
  await writeFile(large, randomBytes(STORAGE_MAX + 1_000_000))
  const refused = await first.ctl(['add', '-Q', large])
  assert.equal(refused.code, 2, refused.stdout + refused.stderr)
  assert.match(refused.stdout, /failed to put block on all destinations: .*storage_max leaves \d+/)
  await nothingIsPinned()

  const add = async (name: string, bytes: number) => {
    const path = join(cluster.folder, name)
    await writeFile(path, randomBytes(bytes))
    const added = await first.ctl(['add', '-Q', path])
    assert.equal(added.code, 0, added.stdout + added.stderr)
    const cid = CID.parse(added.stdout.trim())
    await waitFor(
      async () => Object.values(await statusByPeer(second, cid)).every(each => each === 'pinned'),
      {
        what: `${name} is pinned everywhere`,
      },
    )
    return cid.toString()
  }
  const small = await add('small.bin', STORAGE_MAX / 12)
  // Blocks of the refused add are garbage, which goes when it is collected.
  const collected = await first.ctl(['ipfs', 'gc'])
  assert.equal(collected.code, 0, collected.stdout)
  const half = await add('half.bin', STORAGE_MAX / 2)
  assert.deepEqual((await pinset(first)).sort(), [small, half].sort())
})

test('ctl says that a peer is down, and peers stay healthy after all of this', async () => {
  const { code, stderr } = await second.stop()
  assert.equal(code, 0)
  assert.doesNotMatch(stderr, /unhandled/i)
  apiError(await second.ctl(['id']), 0, /ECONNREFUSED|refused/)
  const json = await second.ctl(['--enc', 'json', 'peers', 'ls'])
  assert.equal(json.code, 1)
  assert.equal(JSON.parse(json.stdout).code, 0)
  assert.equal((await first.ctl(['id'])).code, 0)
  const ended = await first.stop()
  assert.equal(ended.code, 0)
  assert.doesNotMatch(ended.stderr, /unhandled|request failed/i)
})
