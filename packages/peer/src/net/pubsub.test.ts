import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { silentLogger, toHex, utf8, utf8Text } from '@ipfs-cluster/base'
import { createIdentity } from '../identity/index.ts'
import { NetworkError } from './errors.ts'
import { createHost } from './host.ts'
import { createPubsub } from './pubsub.ts'
import { MAX_PAYLOAD_BYTES } from './gossip-options.ts'
import {
  addressOf,
  createTestNetwork,
  testNetworkConfig,
  until,
  type TestNetworkOptions,
} from './test-network.ts'
import type { Network, PubsubMessage } from './types.ts'

const networks = new AsyncDisposableStack()
after(() => networks.disposeAsync())
const create = async (options?: TestNetworkOptions): Promise<Network> =>
  networks.use(await createTestNetwork(options))

/** Three peers in a row: the outer two can reach each other only through the middle. */
async function createRow(): Promise<readonly [Network, Network, Network]> {
  const [left, middle, right] = [await create({ listen: [] }), await create(), await create({ listen: [] })]
  await left.connect(addressOf(middle))
  await right.connect(addressOf(middle))
  return [left, middle, right]
}

function collect(network: Network, topic: string, accept?: (from: string) => boolean): PubsubMessage[] {
  const messages: PubsubMessage[] = []
  network.subscribe(topic, message => void messages.push(message), accept === undefined ? {} : { accept })
  return messages
}

const texts = (messages: readonly PubsubMessage[]) => messages.map(({ data }) => utf8Text(data))

describe('pubsub', () => {
  test('delivers to oneself, even alone', async () => {
    const network = await create()
    const messages = collect(network, 't')
    await network.publish('t', utf8('hello'))
    assert.deepEqual(messages, [{ data: utf8('hello'), from: network.peerId }])
    await network.publish('other', utf8('nobody'))
    assert.equal(messages.length, 1)
  })

  test('relays through a middle peer, with author and forwarder, once', async () => {
    const [left, middle, right] = await createRow()
    const [here, there] = [collect(middle, 't'), collect(right, 't')]
    collect(left, 't')
    let count = 0
    await until(async () => {
      await left.publish('t', utf8(String(count++)))
      return there.length > 2
    })
    const [message] = there
    assert.equal(message?.from, left.peerId)
    assert.equal(message?.forwarder, middle.peerId)
    assert.equal(here[0]?.forwarder, left.peerId)
    assert.equal(new Set(texts(there)).size, there.length)
  })

  test('takes and forwards only messages of accepted authors', async () => {
    const [left, middle, right] = await createRow()
    const accept = (from: string) => from !== left.peerId
    const [judged, behind] = [collect(middle, 'judged', accept), collect(right, 'judged')]
    const [open, openBehind] = [collect(middle, 'open'), collect(right, 'open')]
    collect(left, 'judged')
    collect(left, 'open')
    const fromRight = () => judged.some(({ from }) => from === right.peerId)
    await until(async () => {
      await left.publish('judged', utf8('no'))
      await right.publish('judged', utf8('yes'))
      await left.publish('open', utf8('open'))
      return fromRight() && open.length > 2 && openBehind.length > 2
    })
    assert.deepEqual([...new Set(texts(judged))], ['yes'])
    assert.deepEqual([...new Set(texts(behind))], ['yes'])
  })

  test('carries a message up to the limit of Go peers, no more', async () => {
    const [a, b] = [await create(), await create()]
    await a.connect(addressOf(b))
    const received = collect(b, 't')
    const largest = new Uint8Array(MAX_PAYLOAD_BYTES).fill(1)
    await until(async () => {
      await a.publish('t', largest)
      return received.length > 0
    })
    assert.equal(received[0]?.data.length, MAX_PAYLOAD_BYTES)
    await assert.rejects(
      a.publish('t', new Uint8Array(MAX_PAYLOAD_BYTES + 1)),
      (error: unknown) => error instanceof NetworkError && error.code === 'NET_MESSAGE_TOO_LARGE',
    )
  })

  test('survives a handler that throws, and logs it', async () => {
    const errors: unknown[] = []
    const logger = { ...silentLogger, error: (fields: unknown) => void errors.push(fields) }
    const network = await create({ logger })
    network.subscribe('t', () => {
      throw new Error('broken')
    })
    await network.publish('t', utf8('hello'))
    assert.equal(errors.length, 1)
    assert.match(String((errors[0] as { err: unknown }).err), /broken/)
  })

  test('has one subscriber a topic, which may leave', async () => {
    const network = await create()
    const messages: string[] = []
    const subscription = network.subscribe('t', ({ data }) => void messages.push(toHex(data)))
    assert.throws(
      () => network.subscribe('t', () => undefined),
      (error: unknown) => error instanceof NetworkError && error.code === 'NET_ALREADY_SUBSCRIBED',
    )
    subscription[Symbol.dispose]()
    await network.publish('t', Uint8Array.of(1))
    const again = collect(network, 't')
    subscription[Symbol.dispose]()
    await network.publish('t', Uint8Array.of(2))
    assert.deepEqual([messages, again.length], [[], 1])
  })

  test('tells a subscriber of those who listened before it, and of those who come later', async () => {
    const [here, early, late] = [await createPubsubHost(), await createPubsubHost(), await createPubsubHost()]
    early.pubsub.subscribe('t', () => undefined)
    for (const { libp2p } of [early, late]) await here.libp2p.dial(libp2p.getMultiaddrs())
    await until(() => here.gossip.getSubscribers('t').length === 1)
    const greeted: string[] = []
    here.pubsub.subscribe('t', () => undefined, { onPeer: peer => void greeted.push(peer) })
    assert.deepEqual(greeted, [early.libp2p.peerId.toString()])
    late.pubsub.subscribe('t', () => undefined)
    await until(() => greeted.length === 2)
    assert.equal(greeted[1], late.libp2p.peerId.toString())
  })

  test('goes on when the connection that carried it closes and another one lives on', async () => {
    const [a, b] = [await createPubsubHost(), await createPubsubHost()]
    const received: string[] = []
    b.pubsub.subscribe('t', ({ data }) => void received.push(utf8Text(data)))
    let identified = 0
    for (const { libp2p } of [a, b]) libp2p.addEventListener('peer:identify', () => void identified++)
    await a.libp2p.dial(b.libp2p.getMultiaddrs())
    await a.libp2p.dial(b.libp2p.getMultiaddrs(), { force: true })
    // Each time gossipsub may open its stream by itself: on the two connections, and a second after the start on what peers push.
    await until(() => identified >= 8)
    const carriers = () =>
      a.libp2p
        .getConnections(b.libp2p.peerId)
        .filter(({ streams }) =>
          streams.some(({ protocol, direction }) => direction === 'outbound' && /meshsub/.test(protocol)),
        )
    const delivered = async (text: string) => {
      await until(async () => {
        await a.pubsub.publish('t', utf8(text))
        return received.includes(text)
      }, 2000)
    }
    await delivered('before')
    assert.equal(a.libp2p.getConnections().length, 2)
    assert.equal(carriers().length, 1)
    await carriers()[0]?.close()
    assert.equal(a.libp2p.getConnections().length, 1)
    const identifiedBefore = identified
    await until(() => carriers().length === 1)
    assert.equal(identified, identifiedBefore, 'the stream came back by the accident of another push')
    await delivered('after')
  })
})

/** Heartbeats are too far apart here to mend anything. */
async function createPubsubHost() {
  const config = testNetworkConfig({
    pubsub: {
      heartbeatIntervalMs: 60_000,
      dFactor: 4,
      historyGossip: 2,
      historyLength: 6,
      floodPublish: true,
    },
  })
  const components = { identity: await createIdentity(), logger: silentLogger, onPeerFound: () => undefined }
  const host = networks.use(await createHost(components, config))
  const { libp2p, pubsub: gossip } = host
  return { libp2p, gossip, pubsub: networks.use(createPubsub(libp2p, gossip, silentLogger)) }
}
