/** Uploads that are cut, malformed or contradict themselves: an error that says so, and nothing of them stays. */
import assert from 'node:assert/strict'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { silentLogger, systemClock, systemRandom } from '@ipfs-cluster/base'
import { createIpfsNode, defaultIpfsNodeConfig } from '@ipfs-cluster/ipfs'
import { kuboBinary, startRealKubo, waitFor, type RealKubo } from '@ipfs-cluster/testkit'
import { pinset, startCluster, type TestCluster, type TestPeer } from './cluster.ts'
import {
  BODY_END,
  BOUNDARY,
  partHead,
  seededBytes,
  startUpload,
  type Leaving,
  type RawUpload,
} from './raw-upload.ts'
import { withKubo } from './with-kubo.ts'

const MIB = 1024 * 1024
const EVERYWHERE = 'replication-min=-1&replication-max=-1'
const CUTS = 20
const LEAVINGS: readonly Leaving[] = ['close', 'reset', 'half-close']

/** Two built-in nodes and, where there is one, a Kubo. */
describe('uploads that go wrong', () => {
  let kubo: RealKubo | undefined
  let cluster: TestCluster
  let first: TestPeer

  before(async () => {
    kubo = kuboBinary === undefined ? undefined : await startRealKubo(kuboBinary)
    cluster = await startCluster(3, (config, index) =>
      index === 1 && kubo !== undefined ? withKubo(config, kubo.api) : config,
    )
    first = cluster.peers[0] as TestPeer
  })

  after(async () => {
    await cluster?.[Symbol.asyncDispose]()
    await kubo?.[Symbol.asyncDispose]()
  })

  const pinsOfKubo = async () =>
    (await kubo?.ipfs(['pin', 'ls', '-q', '--type=recursive']))?.trim().split('\n').filter(Boolean) ?? []

  /** Blocks that a collection takes, by peer; it waits for nothing, since no add is left. */
  const collect = async () => {
    const started = performance.now()
    const { peerMap } = await first.client.repoGC()
    assert.ok(performance.now() - started < 20_000, 'a collection was held back')
    for (const { error } of Object.values(peerMap)) assert.equal(error, '')
    return Object.fromEntries(Object.entries(peerMap).map(([peer, { keys }]) => [peer, keys.length]))
  }

  const nothingIsPinned = async () => {
    for (const peer of cluster.peers) {
      assert.deepEqual(await pinset(peer), [])
      assert.deepEqual(await Array.fromAsync(peer.client.statusAll({ local: true })), [])
    }
  }

  test(`cut at ${CUTS} random points: nothing stays pinned, everything is collected, nothing is left open`, async () => {
    const ofKubo = await pinsOfKubo()
    await collect()
    await settled(cluster)
    const handles = await openFiles(cluster)
    let collected = 0
    for (let cut = 0; cut < CUTS; cut++) {
      const total = 6 * MIB
      const upload = await startUpload(first.restUrl, EVERYWHERE)
      await upload.write(partHead(`cut ${cut}`))
      // Every third one with a file before it that is whole.
      if (cut % 3 === 0) {
        for (const bytes of seededBytes(`whole ${cut}`, MIB)) await upload.write(bytes)
        await upload.write(`\r\n${partHead('second')}`)
      }
      let left = Math.floor(Math.random() * total)
      for (const bytes of seededBytes(`cut ${cut}`, total)) {
        if (left <= 0) break
        await upload.write(bytes.subarray(0, left))
        left -= bytes.length
      }
      upload.leave(LEAVINGS[cut % LEAVINGS.length] as Leaving)
      await upload.answer
      if (cut % 5 === 4) collected += sum(await collect())
    }
    collected += sum(await collect())
    // How many depends on what was still in the sockets.
    assert.ok(collected > 0, 'no block had been written')
    await nothingIsPinned()
    assert.deepEqual(await pinsOfKubo(), ofKubo)
    assert.deepEqual(await collect(), Object.fromEntries(cluster.peers.map(({ id }) => [id, 0])))
    await waitFor(
      async () => {
        const now = await openFiles(cluster)
        for (const [index, count] of now.entries()) assert.ok(count <= (handles[index] ?? 0) + 3, `${now}`)
        return true
      },
      { timeoutMs: 20_000, intervalMs: 250, what: `no more open files than ${handles}` },
    )
  })

  const bad: readonly (readonly [name: string, body: readonly string[], message: RegExp])[] = [
    ['no final boundary', [partHead('a'), 'x'.repeat(300_000)], /unexpected end of multipart data/],
    ['a last part that is cut', [partHead('a'), 'whole', `\r\n${partHead('b')}`, 'x'], /unexpected end/],
    ['a part without an end of its headers', [`--${BOUNDARY}\r\nContent-Type: x`], /unexpected end/],
    [
      'a part that has less than it says',
      [partHead('a', 'Content-Length: 400000\r\n'), 'x'.repeat(300_000), BODY_END],
      /a part has only 300000 bytes, but its Content-Length says 400000/,
    ],
    [
      'a part that has more than it says',
      [partHead('a', 'Content-Length: 10\r\n'), 'x'.repeat(300_000), BODY_END],
      /a part has more bytes, but its Content-Length says 10/,
    ],
    [
      'headers without an end',
      [partHead('a', `X: ${'x'.repeat(500_000)}\r\n`), 'x', BODY_END],
      /headers of a part are longer than 65536 bytes/,
    ],
    ['a header that is none', [partHead('a', 'no colon\r\n'), 'x', BODY_END], /malformed header of a part/],
    ['no parts', [`--${BOUNDARY}--\r\n`], /nothing to add: the upload has no parts/],
    ['no boundary', ['x'.repeat(100_000)], /unexpected end of multipart data/],
  ]

  for (const [name, body, message] of bad) {
    test(`${name}: an error, as the trailer of a stream and as status 500`, async () => {
      const send = async (query: string) => {
        const upload = await startUpload(first.restUrl, `${EVERYWHERE}&${query}`)
        for (const bytes of body) await upload.write(bytes)
        upload.end()
        return await upload.answer
      }
      const streamed = await send('stream-channels=true')
      assert.match(streamed, /^HTTP\/1\.1 200 /)
      const trailer = /\r\n0\r\nX-Stream-Error: (.*)\r\n\r\n$/i.exec(streamed)?.[1]
      assert.match(trailer ?? `none: ${streamed}`, message)
      for (const query of ['stream-channels=false', 'stream-channels=false&no-pin=true&local=true']) {
        const whole = await send(query)
        assert.match(whole, /^HTTP\/1\.1 500 /)
        const answer = JSON.parse(whole.slice(whole.indexOf('{'), whole.lastIndexOf('}') + 1))
        assert.equal(answer.code, 500)
        assert.match(answer.message, message)
      }
      await nothingIsPinned()
    })
  }

  test('thousands of parts, many of them empty, are as many files', async () => {
    const count = 3_000
    const upload = await startUpload(
      first.restUrl,
      `stream-channels=false&wrap-with-directory=true&no-pin=true`,
    )
    let body = ''
    for (let index = 0; index < count; index++) {
      const content = index % 2 === 0 ? '' : `file ${index}`
      body += `${partHead(`f${index}`, `Content-Length: ${content.length}\r\n`)}${content}\r\n`
      if (body.length > MIB) {
        await upload.write(body)
        body = ''
      }
    }
    await upload.write(`${body}--${BOUNDARY}--\r\n`)
    upload.end()
    const answer = await upload.answer
    assert.match(answer, /^HTTP\/1\.1 200 /)
    assert.equal([...answer.matchAll(/"name":"f\d+"/g)].length, count)
    await collect()
  })

  test('a client that stands still holds nothing up: others add, and what it holds ends with it', async () => {
    const uploads = 5
    const before = await storedBytes(first)
    const still: RawUpload[] = []
    for (let index = 0; index < uploads; index++) {
      const upload = await startUpload(first.restUrl, EVERYWHERE)
      await upload.write(partHead(`still ${index}`))
      for (const bytes of seededBytes(`still ${index}`, 6 * MIB)) await upload.write(bytes)
      still.push(upload)
    }
    // Blocks are stored by some MiB at once: of each upload some have been, and some wait for more.
    await waitFor(async () => (await storedBytes(first)) >= before + uploads * 2 * MIB, {
      timeoutMs: 20_000,
      what: 'blocks of every upload that are stored',
    })
    const form = new FormData()
    form.append('file', new Blob(['something']), 'other')
    const added = await fetch(`${first.restUrl}/add?no-pin=true`, { method: 'POST', body: form })
    assert.match(await added.text(), /"cid"/)
    for (const upload of still) upload.leave('reset')
    await Promise.all(still.map(({ answer }) => answer))
    await nothingIsPinned()
    assert.ok(sum(await collect()) >= (uploads * 2 * MIB) / (256 * 1024))
  })

  test('the built-in nodes have no pin and no block when all is over', async () => {
    await collect()
    for (const [index, peer] of cluster.peers.entries()) {
      const { code, stderr } = await peer.stop()
      assert.equal(code, 0)
      assert.doesNotMatch(stderr, /unhandled|MaxListeners/i)
      if (index === 1 && kubo !== undefined) continue
      await using node = await createIpfsNode(
        { clock: systemClock, random: systemRandom, logger: silentLogger },
        { ...defaultIpfsNodeConfig, path: join(peer.folder, 'ipfs'), listen: ['/ip4/127.0.0.1/tcp/0'] },
      )
      assert.deepEqual(await Array.fromAsync(node.pins.ls()), [])
      assert.equal((await node.repo.stat()).numObjects, 0)
    }
  })
})

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0)
}

/** Bytes in the files of the built-in node. */
async function storedBytes({ folder }: TestPeer): Promise<number> {
  const entries = await readdir(join(folder, 'ipfs'), { recursive: true, withFileTypes: true })
  const sizes = entries
    .filter(entry => entry.isFile())
    .map(async ({ parentPath, name }) => (await stat(join(parentPath, name))).size)
  return (await Promise.all(sizes)).reduce((total, size) => total + size, 0)
}

/** Open files and sockets of each peer. */
async function openFiles({ peers }: TestCluster): Promise<number[]> {
  return await Promise.all(peers.map(async peer => (await readdir(`/proc/${peer.process.pid}/fd`)).length))
}

/** When peers have just found each other, connections still come and go. */
async function settled(cluster: TestCluster): Promise<void> {
  let before: number[] = []
  await waitFor(
    async () => {
      const last = before
      before = await openFiles(cluster)
      await delay(1_000)
      return before.every((count, index) => count === last[index])
    },
    { timeoutMs: 20_000, what: 'no new connections' },
  )
}
