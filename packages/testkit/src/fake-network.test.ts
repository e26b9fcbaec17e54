import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  streamingHandler,
  unaryHandler,
  type Codec,
  type RpcPolicy,
  type StreamingMethod,
  type UnaryMethod,
} from '@ipfs-cluster/gorpc'
import type { CID } from 'multiformats/cid'
import { createFakeNetworks } from './fake-network.ts'
import { rawBlock } from './test-blocks.ts'
import { waitFor } from './wait-for.ts'

/** The fake uses no codec. */
const never = {} as Codec<never>

function unary(name: string, policy: RpcPolicy): UnaryMethod<number, number> {
  return { service: 'Test', method: name, kind: 'unary', policy, arg: never, reply: never }
}

const open = unary('Open', 'open')
const trusted = unary('Trusted', 'trusted')
const closed = unary('Closed', 'closed')
const fails = unary('Fails', 'open')
const double: StreamingMethod<number, number> = {
  service: 'Test',
  method: 'Double',
  kind: 'streaming',
  policy: 'open',
  arg: never,
  reply: never,
}

const handlers = [
  unaryHandler(open, arg => Promise.resolve(arg + 1)),
  unaryHandler(trusted, arg => Promise.resolve(arg + 2)),
  unaryHandler(closed, arg => Promise.resolve(arg + 3)),
  unaryHandler(fails, () => Promise.reject(new RangeError('no such thing'))),
  streamingHandler(double, async function* (args) {
    for await (const arg of args) yield arg * 2
  }),
]

function three() {
  const { networks, setOnline } = createFakeNetworks(3)
  const [a, b, c] = networks
  if (a === undefined || b === undefined || c === undefined) throw new Error('three networks expected')
  return { a, b, c, setOnline }
}

describe('fake networks', () => {
  it('deliver announcements to everybody, their author included, who accepts them', async () => {
    const { a, b, c, setOnline } = three()
    const heard: string[] = []
    a.subscribe('t', ({ data, from }) => heard.push(`a ${data[0]} ${from === a.peerId}`))
    b.subscribe('t', ({ data }) => heard.push(`b ${data[0]}`), { accept: from => from === a.peerId })
    const subscription = c.subscribe('t', ({ data }) => heard.push(`c ${data[0]}`))
    await a.publish('t', Uint8Array.of(1))
    assert.deepEqual(heard, [])
    await waitFor(() => heard.length === 3)
    await c.publish('t', Uint8Array.of(2))
    await waitFor(() => heard.length === 5)
    subscription[Symbol.dispose]()
    setOnline(1, false)
    await a.publish('t', Uint8Array.of(3))
    await waitFor(() => heard.length === 6)
    assert.deepEqual(heard, ['a 1 true', 'b 1', 'c 1', 'a 2 false', 'c 2', 'a 3 true'])
    assert.throws(() => a.subscribe('t', () => undefined), { code: 'NET_ALREADY_SUBSCRIBED' })
  })

  it('call handlers under their policies', async () => {
    const { a, b, c } = three()
    b.serve(handlers, peer => peer === a.peerId)
    assert.equal(await a.rpc.call(b.peerId, open, 1), 2)
    assert.equal(await a.rpc.call(b.peerId, trusted, 1), 3)
    await assert.rejects(c.rpc.call(b.peerId, trusted, 1), {
      code: 'RPC_UNAUTHORIZED',
      message: 'client does not have permissions to call Test.Trusted',
    })
    await assert.rejects(a.rpc.call(b.peerId, closed, 1), { code: 'RPC_UNAUTHORIZED' })
    assert.equal(await b.rpc.call(b.peerId, closed, 1), 4)
    assert.equal(await b.rpc.call('', closed, 1), 4)
    await assert.rejects(a.rpc.call(b.peerId, fails, 1), { code: 'RPC_REMOTE', message: 'no such thing' })
    await assert.rejects(b.rpc.call(b.peerId, fails, 1), { name: 'RangeError' })
    await assert.rejects(a.rpc.call(c.peerId, open, 1), { code: 'RPC_PROTOCOL' })
  })

  it('stream in both directions', async () => {
    const { a, b } = three()
    b.serve(handlers, () => false)
    assert.deepEqual(await Array.fromAsync(a.rpc.stream(b.peerId, double, [1, 2, 3])), [2, 4, 6])
    const stop = new AbortController()
    const endless = async function* () {
      yield 1
      await new Promise(() => undefined)
    }
    const stream = a.rpc.stream(b.peerId, double, endless(), { signal: stop.signal })
    assert.equal((await stream.next()).value, 2)
    const next = stream.next()
    stop.abort(new Error('enough'))
    await assert.rejects(next, /enough/)
  })

  it('reach only who is online', async () => {
    const { a, b, setOnline } = three()
    b.serve(handlers, () => false)
    setOnline(1, false)
    await assert.rejects(a.rpc.call(b.peerId, open, 1), { code: 'RPC_UNREACHABLE' })
    await assert.rejects(a.connect(b.addresses()[0] ?? ''), { code: 'NET_UNREACHABLE' })
    assert.ok(!a.connectedPeers().includes(b.peerId))
    setOnline(1, true)
    assert.equal(await a.rpc.call(b.peerId, open, 1), 2)
  })

  it('find each other by address when they are not connected', async () => {
    const { networks } = createFakeNetworks(2, { connected: false })
    const [a, b] = networks
    if (a === undefined || b === undefined) throw new Error('two networks expected')
    assert.deepEqual(a.connectedPeers(), [])
    await a.importPeers(b.addresses(), { permanent: true, priority: 0 })
    assert.deepEqual(await a.bootstrap(), [b.peerId])
    assert.deepEqual(b.connectedPeers(), [a.peerId])
  })

  it('exchange blocks with those that are connected, and wait for those to come', async () => {
    const { a, b } = three()
    const stored = new Map<string, Uint8Array>()
    const held = {
      get: (cid: CID) => Promise.resolve(stored.get(`${cid}`)),
      size: (cid: CID) => Promise.resolve(stored.get(`${cid}`)?.length),
    }
    const none = { get: () => Promise.resolve(undefined), size: () => Promise.resolve(undefined) }
    const wants = await a.exchange(none)
    const has = await b.exchange(held)
    const block = rawBlock('a')
    const getting = wants.get(block.cid)
    await waitFor(() => wants.stats().wantsPending === 1)
    stored.set(`${block.cid}`, block.data)
    has.notify([block])
    assert.deepEqual(await getting, block.data)
    const session = wants.session()
    const never = session.get(rawBlock('nowhere').cid)
    session[Symbol.dispose]()
    await assert.rejects(never, { name: 'AbortError' })
    const closing = wants.get(rawBlock('nowhere').cid)
    await wants[Symbol.asyncDispose]()
    await assert.rejects(closing, { name: 'AbortError' })
  })
})
