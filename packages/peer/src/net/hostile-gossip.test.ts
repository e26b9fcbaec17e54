import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { generateKeyPair, publicKeyToProtobuf } from '@libp2p/crypto/keys'
import { RPC } from '@libp2p/gossipsub/message'
import type { Connection, PrivateKey, Stream } from '@libp2p/interface'
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id'
import { concatBytes, createMeter, systemClock, utf8, utf8Text, type MeterRegistry } from '@ipfs-cluster/base'
import {
  createAttacker,
  dialVictim,
  openGossip,
  readFrames,
  refused,
  sendFrame,
  sendRpc,
  type Attacker,
} from './test-attacker.ts'
import { addressOf, createTestNetwork, until } from './test-network.ts'
import type { Network } from './types.ts'

const TOPIC = 'heads'

const owned = new AsyncDisposableStack()
after(() => owned.disposeAsync())

let sequence = 1_700_000_000_000_000_000n

/** A message as StrictSign wants it. */
async function signed(key: PrivateKey, data: Uint8Array, topic = TOPIC): Promise<RPC.Message> {
  const seqno = new Uint8Array(8)
  new DataView(seqno.buffer).setBigUint64(0, sequence++)
  const message = { from: peerIdFromPrivateKey(key).toMultihash().bytes, data, seqno, topic }
  const signature = await key.sign(concatBytes([utf8('libp2p-pubsub:'), RPC.Message.encode(message)]))
  return { ...message, signature, key: publicKeyToProtobuf(key.publicKey) }
}

describe('a member that attacks pubsub', () => {
  let victim: Network
  let meter: MeterRegistry
  let attacker: Attacker
  let connection: Connection
  let stream: Stream
  let key: PrivateKey
  let banned: PrivateKey
  const received: string[] = []
  /** RPCs that came back. */
  const frames: Uint8Array[] = []

  /** Waits until everything sent before has been worked off. */
  const settled = async () => {
    const text = `settled ${received.length} ${sequence}`
    sendRpc(stream, { messages: [await signed(key, utf8(text))] })
    await until(() => received.includes(text))
  }
  const count = (reason: string) => refused(meter, 'pubsub', reason)

  before(async () => {
    meter = createMeter()
    victim = owned.use(await createTestNetwork({ meter }))
    key = await generateKeyPair('Ed25519')
    banned = await generateKeyPair('Ed25519')
    const bannedId = peerIdFromPrivateKey(banned).toString()
    victim.subscribe(TOPIC, ({ data }) => void received.push(data.length < 100 ? utf8Text(data) : 'long'), {
      accept: author => author !== bannedId,
    })
    attacker = owned.use(await createAttacker({ privateKey: key }))
    await attacker.libp2p.handle('/meshsub/1.2.0', gossip =>
      readFrames(gossip, frame => void frames.push(frame)),
    )
    connection = await dialVictim(attacker, victim)
    stream = await openGossip(connection)
    await settled()
  })

  test('is heard only with good signatures of trusted authors', async () => {
    const good = await signed(key, utf8('good'))
    const stolen = {
      ...(await signed(key, utf8('stolen'))),
      from: peerIdFromPrivateKey(banned).toMultihash().bytes,
    }
    const { signature: _none, ...unsigned } = await signed(key, utf8('unsigned'))
    const forged = { ...(await signed(key, utf8('forged'))), data: utf8('changed') }
    const bare = { data: utf8('bare'), topic: TOPIC }
    const noKey = { ...(await signed(key, utf8('bad key'))), key: randomBytes(40) }
    const untrusted = await signed(banned, utf8('untrusted'))
    received.length = 0
    sendRpc(stream, { messages: [stolen, unsigned, forged, bare, noKey, untrusted, good] })
    await until(() => received.length > 0)
    assert.deepEqual(received, ['good'])
    assert.equal(count('bad_signature'), 5)
    assert.equal(count('untrusted_author'), 1)
    // A copy is a duplicate, whatever its signature.
    sendRpc(stream, { messages: [good] })
    await settled()
    assert.equal(received.filter(text => text === 'good').length, 1)
  })

  test('cannot have messages kept that nobody subscribed to, nor larger ones than Go takes', async () => {
    const foreign = await signed(key, utf8('foreign'), 'another topic')
    const large = await signed(key, new Uint8Array(1024 * 1024))
    sendRpc(stream, { messages: [foreign] }, { messages: [large] })
    await settled()
    assert.equal(count('unknown_topic'), 1)
    assert.equal(count('message_too_large'), 1)
    assert.ok(!received.includes('long'))
  })

  test('is not stopped by one malformed RPC, and counted', async () => {
    sendFrame(stream, randomBytes(1000))
    sendFrame(stream, Uint8Array.of(0xff, 0xff, 0xff))
    sendFrame(stream, new Uint8Array())
    await settled()
    assert.ok(count('malformed_rpc') >= 2)
  })

  test('may name a limited number of topics', async () => {
    const topics = (from: number) =>
      Array.from({ length: 1000 }, (_, index) => ({ subscribe: true, topic: `topic ${from + index}` }))
    for (let round = 0; round < 20; round++) sendRpc(stream, { subscriptions: topics(round * 1000) })
    sendRpc(stream, { subscriptions: [{ subscribe: true, topic: 'x'.repeat(500_000) }] })
    await settled()
    assert.ok(count('too_many_topics') > 19_800, String(count('too_many_topics')))
    sendRpc(stream, { subscriptions: Array.from({ length: 2000 }, () => ({ subscribe: true, topic: 'y' })) })
    const malformed = count('malformed_rpc')
    await settled()
    assert.equal(count('malformed_rpc'), malformed + 1)
  })

  test('gains nothing with floods of control messages', async () => {
    const messageIDs = Array.from({ length: 9000 }, () => Uint8Array.from(randomBytes(24)))
    const empty = { ihave: [], iwant: [], graft: [], prune: [], idontwant: [] }
    const repeated = Array.from({ length: 1000 }, () => ({ topicID: TOPIC }))
    for (let round = 0; round < 20; round++) {
      sendRpc(stream, { control: { ...empty, ihave: [{ topicID: TOPIC, messageIDs }] } })
      sendRpc(stream, { control: { ...empty, iwant: [{ messageIDs }] } })
      sendRpc(stream, { control: { ...empty, idontwant: [{ messageIDs: messageIDs.slice(0, 1000) }] } })
      sendRpc(stream, { control: { ...empty, graft: repeated } })
      sendRpc(stream, {
        control: { ...empty, prune: repeated.map(one => ({ ...one, peers: [], backoff: 1e9 })) },
      })
      await stream.onDrain()
    }
    await settled()
    assert.equal(count('repeated_control'), 40)
    // The answers would be many times the flood: one to each of 20,000 GRAFT, and an IWANT for each of 180,000 ids.
    const bytes = frames.reduce((sum, { length }) => sum + length, 0)
    assert.ok(bytes < 2 * 1024 * 1024, `${bytes} bytes`)
  })

  test('gets what it asks for in pieces that Go takes', async () => {
    const author = await generateKeyPair('Ed25519')
    const large = await Promise.all([1, 2, 3, 4, 5].map(() => signed(author, new Uint8Array(400_000))))
    const other = owned.use(await createAttacker())
    const foreign = await openGossip(await dialVictim(other, victim))
    for (const message of large) sendRpc(foreign, { messages: [message] })
    await until(() => received.filter(text => text === 'long').length === 5)
    // Not the attacker: who asks too often is not answered until the next heartbeat.
    const asker = owned.use(await createAttacker())
    const answers: Uint8Array[] = []
    await asker.libp2p.handle('/meshsub/1.2.0', gossip =>
      readFrames(gossip, frame => void answers.push(frame)),
    )
    const asking = await openGossip(await dialVictim(asker, victim))
    // The victim has opened its own stream, without which it cannot answer: it has said what it subscribes to.
    await until(() => answers.length > 0)
    const messageIDs = large.map(({ from = assert.fail(), seqno = assert.fail() }) =>
      concatBytes([from.subarray(0, 16), seqno]),
    )
    sendRpc(asking, { control: { ihave: [], iwant: [{ messageIDs }], graft: [], prune: [], idontwant: [] } })
    const answered = () =>
      answers.flatMap(frame => RPC.decode(frame).messages).filter(({ data }) => data?.length === 400_000)
    await until(() => answered().length >= 5)
    assert.ok(answers.every(({ length }) => length <= 1024 * 1024))
  })

  test('cannot have us dial whom it likes', async () => {
    const strangers = await Promise.all(
      Array.from({ length: 16 }, async () => peerIdFromPrivateKey(await generateKeyPair('Ed25519'))),
    )
    const peers = strangers.map(stranger => ({ peerID: stranger.toMultihash().bytes }))
    const other = owned.use(await createAttacker())
    const foreign = await openGossip(await dialVictim(other, victim))
    const before = count('unsolicited_peer_exchange')
    const connected = victim.connectedPeers()
    const empty = { ihave: [], iwant: [], graft: [], idontwant: [] }
    sendRpc(foreign, { control: { ...empty, prune: [{ topicID: TOPIC, peers }] } })
    await until(() => count('unsolicited_peer_exchange') === before + 1)
    assert.deepEqual(victim.connectedPeers(), connected)
  })

  test('is obeyed when it prunes us and names others, as Go peers do', async () => {
    const third = owned.use(await createTestNetwork())
    const mate = owned.use(await createAttacker())
    await mate.libp2p.handle('/meshsub/1.2.0', gossip => readFrames(gossip, () => undefined))
    await dialVictim(mate, third)
    const id = peerIdFromString(third.peerId)
    await until(async () => (await mate.libp2p.peerStore.get(id)).peerRecordEnvelope !== undefined)
    const { peerRecordEnvelope = assert.fail() } = await mate.libp2p.peerStore.get(id)
    const gossip = await openGossip(await dialVictim(mate, victim))
    const empty = { ihave: [], iwant: [], graft: [], prune: [], idontwant: [] }
    sendRpc(gossip, {
      subscriptions: [{ subscribe: true, topic: TOPIC }],
      control: { ...empty, graft: [{ topicID: TOPIC }] },
    })
    const peers = [{ peerID: id.toMultihash().bytes, signedPeerRecord: peerRecordEnvelope }]
    sendRpc(gossip, { control: { ...empty, prune: [{ topicID: TOPIC, peers }] } })
    await until(() => victim.connectedPeers().includes(third.peerId))
  })

  test('sends as fast as it can and is read as fast as we work', { timeout: 60_000 }, async () => {
    const messages = await Promise.all(
      Array.from({ length: 200 }, async (_, index) => await signed(key, new Uint8Array(60_000).fill(index))),
    )
    received.length = 0
    let largest = 0
    for (const message of messages) {
      // Twice: the second time it costs a signature check all the same.
      sendRpc(stream, { messages: [message] })
      sendRpc(stream, { messages: [message] })
      largest = Math.max(largest, stream.writeBufferLength)
      await stream.onDrain()
    }
    await until(() => received.filter(text => text === 'long').length === 200, 30_000)
    await settled()
  })
})

test(
  'a subscriber that never reads is dropped at a limit, and others get all',
  { timeout: 60_000 },
  async () => {
    const meter = createMeter()
    const victim = owned.use(await createTestNetwork({ meter }))
    const friend = owned.use(await createTestNetwork())
    let arrived = 0
    friend.subscribe(TOPIC, () => void arrived++)
    victim.subscribe(TOPIC, () => undefined)
    await friend.connect(addressOf(victim))
    const attacker = owned.use(await createAttacker())
    await attacker.libp2p.handle('/meshsub/1.2.0', gossip => gossip.pause())
    const connection = await dialVictim(attacker, victim)
    const stream = await openGossip(connection)
    sendRpc(stream, {
      subscriptions: [{ subscribe: true, topic: TOPIC }],
      control: { ihave: [], iwant: [], graft: [{ topicID: TOPIC }], prune: [], idontwant: [] },
    })
    await until(async () => {
      await victim.publish(TOPIC, utf8('hello'))
      return arrived > 0
    })
    arrived = 0
    const large = new Uint8Array(200_000)
    let published = 0
    while (refused(meter, 'connection', 'stream_does_not_read') === 0) {
      assert.ok(published < 500, 'nothing stopped 100 MB for a peer that does not read')
      await victim.publish(TOPIC, large)
      published++
      await until(() => arrived >= published)
      await systemClock.sleep(1)
    }
    // Its window, 8 MiB of ours, and little more.
    assert.ok(published * large.length < 20 * 1024 * 1024, `${published} messages`)
    assert.equal(connection.status, 'open')
  },
)
