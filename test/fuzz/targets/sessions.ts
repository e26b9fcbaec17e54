/** Whole sessions: servers and clients as they are composed, at the other end of a stream in memory. */
import { encodePin, newPin, type Pin } from '@ipfs-cluster/api'
import {
  createMemoryStore,
  equalBytes,
  type Logger,
  type Random,
  seededRandom,
  silentLogger,
  systemClock,
} from '@ipfs-cluster/base'
import { createBitswap } from '@ipfs-cluster/bitswap'
import { createCrdt, defaultCrdtConfig, encodeBroadcast, type CrdtMessage } from '@ipfs-cluster/crdt'
import {
  createRpcClient,
  createRpcServer,
  MsgpackReader,
  RpcError,
  type RpcHandler,
  type RpcMethod,
  streamingHandler,
  unaryHandler,
} from '@ipfs-cluster/gorpc'
import type { Connection, PeerId as Libp2pPeerId, Stream } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { createHash } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { decodeMessage, encodeFrame } from '../../../packages/bitswap/src/message.ts'
import { response } from '../../../packages/gorpc/src/protocol.ts'
import { RPC, RPC_METHODS } from '../../../packages/peer/src/net/rpc/index.ts'
import { createPinState, openPinOutbox, pinKey } from '../../../packages/peer/src/state/index.ts'
import { CIDS, fixture, PEER, recorded } from '../corpus.ts'
import { MemoryStream } from '../streams.ts'
import { check, neverRefuses, pieces, PropertyError, refusedBy, type Target } from '../target.ts'
import { REQUESTS, RESPONSES, valuesOf } from './rpc-values.ts'

export const nextTurn = () => new Promise<void>(resolve => void setImmediate(resolve))

/** An error of a background task is a fault: nothing that comes from the network may cause one. */
function watchfulLogger(errors: string[]): Logger {
  const error: Logger['error'] = (fields: unknown, text?: string) =>
    void errors.push(`${text} ${JSON.stringify(fields)}`)
  return { ...silentLogger, error, child: () => watchfulLogger(errors) } as Logger
}

export async function sendInPieces(stream: MemoryStream, input: Uint8Array, random: Random): Promise<void> {
  for (const piece of pieces(input, random)) {
    if (stream.status !== 'open') return
    stream.send(piece)
    if (random.int(4) === 0) await nextTurn()
  }
}

// ---- gorpc: the server

function handlerOf(method: RpcMethod<unknown, unknown>): RpcHandler {
  const [bytes] = valuesOf(method, 'reply')
  const reply = bytes === undefined ? undefined : method.reply.decode(new MsgpackReader(bytes))
  const fails = reply === undefined || method.method.length % 5 === 0
  const fail = () => {
    if (fails) throw new Error('the method failed')
  }
  if (method.kind === 'unary') {
    return unaryHandler(method as RpcMethod<unknown, unknown> & { kind: 'unary' }, async () => {
      fail()
      return reply
    })
  }
  return streamingHandler(
    method as RpcMethod<unknown, unknown> & { kind: 'streaming' },
    async function* (args) {
      let taken = 0
      for await (const _ of args) {
        yield reply
        if (++taken === 40) fail()
      }
    },
  )
}

export const HANDLERS = RPC_METHODS.filter(({ service }) => service !== 'PeerMonitor').map(handlerOf)

/** What came back must be whole responses, each with its body. */
function checkAnswer(answer: Uint8Array, reset: boolean): void {
  const reader = new MsgpackReader(answer)
  try {
    while (reader.remaining > 0) {
      response.decode(reader)
      reader.skip()
    }
  } catch (error) {
    if (!reset) throw new PropertyError(`the server answers in whole objects: ${String(error)}`)
  }
}

const server: Target = {
  name: 'session: gorpc server',
  format: 'msgpack',
  corpus: () => REQUESTS,
  refusal: neverRefuses,
  allocation: { perByte: 4_000, constant: 4 * 1024 * 1024 },
  async run(input, random) {
    const serving = createRpcServer({
      handlers: HANDLERS,
      unserved: RPC_METHODS.filter(({ service }) => service === 'PeerMonitor'),
      authorize: (_peer, { policy }) => policy !== 'closed' || random.int(2) === 0,
      clock: systemClock,
      logger: silentLogger,
    })
    const [near, far] = MemoryStream.pair()
    const parts: Uint8Array[] = []
    near.addEventListener('message', ({ data }) => void parts.push(data.subarray()))
    const late = random.int(4) === 0
    let done = late ? undefined : serving.handleStream(far, PEER)
    await sendInPieces(near, input, random)
    const reset = random.int(8) === 0
    if (reset) near.abort(new Error('the caller resets'))
    else await near.close()
    done ??= serving.handleStream(far, PEER)
    await done
    await nextTurn()
    checkAnswer(Buffer.concat(parts), reset)
    check(far.status !== 'open' && near.status !== 'open', 'a call that is over leaves no open stream')
    await serving[Symbol.asyncDispose]()
    return true
  },
}

// ---- gorpc: the client

const CALLED = [
  RPC.Cluster.ID,
  RPC.Cluster.RecoverLocal,
  RPC.PinTracker.Status,
  RPC.IPFSConnector.RepoStat,
  RPC.IPFSConnector.SwarmPeers,
]
const STREAMED = [RPC.Cluster.Peers, RPC.PinTracker.StatusAll, RPC.Cluster.IDStream]

const client: Target = {
  name: 'session: gorpc client',
  format: 'msgpack',
  corpus: () => RESPONSES,
  refusal: refusedBy(RpcError),
  allocation: { perByte: 4_000, constant: 4 * 1024 * 1024 },
  async run(input, random) {
    const [near, far] = MemoryStream.pair()
    const calling = createRpcClient({
      selfId: 'self',
      localHandler: () => undefined,
      openStream: () => Promise.resolve(near),
      clock: systemClock,
      logger: silentLogger,
    })
    far.addEventListener('message', () => undefined)
    const answering = (async () => {
      if (random.int(2) === 0) await nextTurn()
      await sendInPieces(far, input, random)
      if (random.int(8) === 0) far.abort(new Error('the server resets'))
      else if (far.status === 'open') await far.close()
    })()
    // The method that the answer claims to be of, so that its codec is reached.
    const head = Buffer.from(input.subarray(0, 80)).toString('latin1')
    const isFor = ({ service, method }: { readonly service: string; readonly method: string }) =>
      head.includes(service) && head.includes(method)
    try {
      const streamed = STREAMED.find(isFor)
      if (streamed !== undefined) {
        const arg = streamed.arg.zero as never
        let left = 1 + random.int(200)
        for await (const _ of calling.stream(PEER, streamed as never, [arg])) if (--left === 0) break
      } else {
        const method = CALLED.find(isFor) ?? RPC.Cluster.ID
        await calling.call(PEER, method as never, (method.arg.zero ?? CIDS[0]) as never)
      }
      return true
    } finally {
      await answering
      near.abort(new Error('done'))
      far.abort(new Error('done'))
    }
  },
}

// ---- bitswap: a node with blocks of its own and wants

const MESSAGES = recorded(fixture('bitswap/src/fixtures/bitswap-crdt-fetch.json'), 'message_hex').map(
  decodeMessage,
)
const sha256 = (data: Uint8Array) => new Uint8Array(createHash('sha256').update(data).digest())
const keyOf = (cid: CID) => Buffer.from(cid.multihash.bytes).toString('latin1')
const BLOCKS = MESSAGES.flatMap(({ payload }) => payload.map(({ data }) => data)).map(data => ({
  cid: CID.createV1(0x70, createDigest(0x12, sha256(data))),
  data,
}))
const OURS = new Map(BLOCKS.slice(0, 10).map(({ cid, data }) => [keyOf(cid), data]))
const WANTED = BLOCKS.slice(10)

const bitswap: Target = {
  name: 'session: bitswap node',
  format: 'bytes',
  corpus: () =>
    MESSAGES.map((message, i) =>
      Buffer.concat([...encodeFrame(message), ...encodeFrame(MESSAGES[(i + 7) % MESSAGES.length] ?? {})]),
    ),
  refusal: neverRefuses,
  maxBytes: 64 * 1024,
  allocation: { perByte: 8_000, constant: 8 * 1024 * 1024 },
  async run(input, random) {
    const errors: string[] = []
    const peer = peerIdFromString(PEER)
    let onStream: ((stream: Stream, connection: Connection) => void) | undefined
    const outgoing: MemoryStream[] = []
    const connection = {
      remotePeer: peer,
      status: 'open',
      newStream: () => {
        const [near, far] = MemoryStream.pair('/ipfs/bitswap/1.2.0')
        far.addEventListener('message', () => undefined)
        outgoing.push(near)
        return Promise.resolve(near)
      },
    } as unknown as Connection
    const node = await createBitswap({
      libp2p: {
        handle: (_protocols: unknown, handler: unknown) => {
          onStream = handler as typeof onStream
          return Promise.resolve()
        },
        unhandle: () => Promise.resolve(),
        getConnections: () => [connection],
        getPeers: () => [peer] as Libp2pPeerId[],
        addEventListener: () => undefined,
        removeEventListener: () => undefined,
      },
      blocks: {
        get: cid => Promise.resolve(OURS.get(keyOf(cid))),
        size: cid => Promise.resolve(OURS.get(keyOf(cid))?.length),
      },
      clock: systemClock,
      logger: watchfulLogger(errors),
    })
    const stop = new AbortController()
    const wants = WANTED.map(async ({ cid, data }) => {
      const got = await node.get(cid, { signal: stop.signal })
      check(equalBytes(got, data), 'what is delivered is what was asked for')
    })
    const settled = Promise.allSettled(wants)
    const [near, far] = MemoryStream.pair('/ipfs/bitswap/1.2.0')
    onStream?.(far, connection)
    await sendInPieces(near, input, random)
    if (near.status === 'open') await near.close()
    await nextTurn()
    await nextTurn()
    stop.abort(new Error('enough'))
    for (const result of await settled) {
      if (result.status === 'rejected' && result.reason instanceof PropertyError) throw result.reason
    }
    near.abort(new Error('done'))
    for (const stream of outgoing) stream.abort(new Error('done'))
    await node[Symbol.asyncDispose]()
    check(errors.length === 0, `no background task fails: ${errors[0]}`)
    return true
  },
}

// ---- crdt: a peer that is told of a node

const crdtDocuments = [
  fixture('crdt/src/fixtures/crdt-nodes.json'),
  fixture('crdt/src/fixtures/crdt-batches.json'),
]
const NODES = crdtDocuments.flatMap(document => recorded(document, 'node_hex'))
const ROOTS = new Map(NODES.map(data => [keyOf(CID.createV1(0x70, createDigest(0x12, sha256(data)))), data]))
const OUR_PIN: Pin = newPin(CIDS[1] as CID)

/** The input is a DAG node under its real CID: what a trusted peer can bring about by announcing it. */
const crdt: Target = {
  name: 'session: crdt peer and pinset',
  format: 'protobuf',
  corpus: () => NODES,
  refusal: neverRefuses,
  maxBytes: 64 * 1024,
  allocation: { perByte: 8_000, constant: 8 * 1024 * 1024 },
  async run(input, random) {
    const errors: string[] = []
    const logger = watchfulLogger(errors)
    const store = createMemoryStore()
    const outbox = await openPinOutbox(store)
    let deliver: ((message: CrdtMessage) => void) | undefined
    const cid = CID.createV1(0x70, createDigest(0x12, sha256(input)))
    const fetched = Promise.withResolvers<void>()
    await using peer = await createCrdt(
      {
        store,
        blocks: {
          get(wanted, { signal }) {
            if (wanted.equals(cid)) {
              fetched.resolve()
              return Promise.resolve(input)
            }
            const known = ROOTS.get(keyOf(wanted))
            if (known !== undefined) return Promise.resolve(known)
            // Nobody has it: waits until the peer stops.
            return new Promise((_, reject) =>
              signal?.addEventListener('abort', () => reject(signal.reason as Error)),
            )
          },
          notify: () => undefined,
        },
        broadcast: {
          publish: () => Promise.resolve(),
          subscribe: handler => {
            deliver = handler
            return { [Symbol.dispose]: () => undefined }
          },
        },
        clock: systemClock,
        random: seededRandom(random.int(1_000)),
        logger,
        projection: changes => outbox.project(changes),
        onChanges: () => outbox.written(),
      },
      defaultCrdtConfig,
    )
    const { state, changes } = createPinState({ store, entries: peer, outbox, logger })
    deliver?.({ data: encodeBroadcast([cid]), from: PEER, forwarder: PEER })
    await fetched.promise
    for (let i = 0; i < 5; i++) await nextTurn()
    // Whatever came, we can write and read.
    await peer.commit([{ type: 'put', key: pinKey(OUR_PIN.cid), value: encodePin(OUR_PIN) }])
    let found = false
    for await (const pin of state.list()) {
      encodePin(pin)
      if (pin.cid.equals(OUR_PIN.cid)) found = true
    }
    check(found, 'a pin made afterwards is listed')
    for await (const pin of state.expired(2 ** 40))
      check(pin.expireAt !== null, 'only pins that expire are in that index')
    const { changes: batch, ack } = await changes.next(1_000)
    check(batch.length > 0 && ack.length > 0, 'there is news of the pinset')
    check(errors.length === 0, `no background task fails: ${errors[0]}`)
    return peer.stats().nodesMerged > 1
  },
}

export const sessionTargets: readonly Target[] = [server, client, bitswap, crdt].map(target => ({
  ...target,
  share: 0.1,
}))
