import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pin } from '@ipfs-cluster/api'
import { createTaskScope, seededRandom, silentLogger } from '@ipfs-cluster/base'
import type { RpcClient } from '@ipfs-cluster/gorpc'
import { createManualClock } from '@ipfs-cluster/testkit'
import { VERSION } from '../version.ts'
import { candidates, greets, HeadsRequest } from './heads-request.ts'

const PATIENCE_MS = 3_000

/** @param versions of connected peers; an error for one that does not answer. */
function createWorld(versions: Record<string, string | Error>, { refuse = false, untrusted = '' } = {}) {
  const asked: { readonly peer: string; readonly pin: Pin }[] = []
  const clock = createManualClock()
  const scope = createTaskScope(silentLogger)
  const call = (peer: string, { method }: { readonly method: string }, arg: unknown) => {
    const version = versions[peer] ?? assert.fail(peer)
    if (method === 'Version')
      return version instanceof Error ? Promise.reject(version) : Promise.resolve({ version })
    assert.equal(method, 'LogUnpin')
    asked.push({ peer, pin: arg as Pin })
    return refuse ? Promise.reject(new Error('you are not trusted')) : Promise.resolve({})
  }
  const request = new HeadsRequest({
    network: { connectedPeers: () => Object.keys(versions), rpc: { call } as unknown as RpcClient },
    isTrusted: peer => peer !== untrusted,
    clock,
    random: seededRandom(1),
    logger: silentLogger,
    scope,
  })
  return { request, clock, asked, [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose]() }
}

test('candidates listen, are connected and trusted, and there is something to ask', () => {
  const listeners = new Set(['a', 'b', 'gone'])
  const news = { heard: false, asked: false, listeners }
  const choose = (changes: Partial<typeof news> = {}) =>
    candidates({ ...news, ...changes }, ['a', 'b', 'deaf'], peer => peer !== 'b')
  assert.deepEqual(choose(), ['a'])
  assert.deepEqual(choose({ heard: true }), [])
  assert.deepEqual(choose({ asked: true }), [])
})

test('peers of this implementation greet, those of Go do not', () => {
  assert.ok(greets(VERSION))
  for (const version of ['1.1.6', '1.1.6+git4f8c6a8', '1.0.0-rc1', '']) assert.ok(!greets(version), version)
})

test('a Go peer is asked once, after others had time to speak, to unpin what nobody can have pinned', async () => {
  await using world = createWorld({ go: '1.1.6', other: '1.1.6' })
  world.request.onPeer('go')
  world.request.onPeer('other')
  await world.clock.advance(PATIENCE_MS - 1)
  assert.equal(world.asked.length, 0)
  await world.clock.advance(1)
  assert.equal(world.asked.length, 1)
  const { cid } = world.asked[0]?.pin ?? assert.fail()
  assert.equal(cid.multihash.code, 0, 'an identity CID')
  assert.match(new TextDecoder().decode(cid.multihash.digest), /asks for heads/)
  world.request.onPeer('other')
  await world.clock.advance(10 * PATIENCE_MS)
  assert.equal(world.asked.length, 1)
  assert.equal(world.clock.pending, 0)
})

test('nobody is asked when somebody has announced heads by then', async () => {
  await using world = createWorld({ go: '1.1.6' })
  world.request.onPeer('go')
  await world.clock.advance(PATIENCE_MS / 2)
  world.request.onHeads()
  await world.clock.advance(PATIENCE_MS)
  world.request.onPeer('go')
  await world.clock.advance(PATIENCE_MS)
  assert.deepEqual(world.asked, [])
})

test('nor are peers of this implementation, untrusted ones and those that do not answer; a later Go peer is', async () => {
  const versions: Record<string, string | Error> = {
    ours: VERSION,
    bad: '1.1.6',
    mute: new Error('no answer'),
  }
  await using world = createWorld(versions, { untrusted: 'bad' })
  for (const peer of ['ours', 'bad', 'mute']) world.request.onPeer(peer)
  await world.clock.advance(PATIENCE_MS)
  assert.deepEqual(world.asked, [])
  versions['late'] = '1.1.6'
  world.request.onPeer('late')
  await world.clock.advance(PATIENCE_MS)
  assert.deepEqual(
    world.asked.map(({ peer }) => peer),
    ['late'],
  )
})

test('a refusal is not answered with another question', async () => {
  await using world = createWorld({ go: '1.1.6', other: '1.1.6' }, { refuse: true })
  for (const peer of ['go', 'other', 'go']) {
    world.request.onPeer(peer)
    await world.clock.advance(PATIENCE_MS)
  }
  assert.equal(world.asked.length, 1)
})
