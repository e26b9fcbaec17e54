/** What else a peer reads: metrics of others, paths, its own files and rows. */
import { seededRandom, silentLogger, utf8, utf8Text } from '@ipfs-cluster/base'
import { createManualClock } from '@ipfs-cluster/testkit'
import { generateKeyPairFromSeed, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { parsePing, formatPing } from '../../../packages/peer/src/cluster/peer-view.ts'
import * as config from '../../../packages/peer/src/config/index.ts'
import { formatIdentity, IdentityError, parseIdentity } from '../../../packages/peer/src/identity/index.ts'
import { parseIpfsPath } from '../../../packages/peer/src/ipfsconn/ipfs-path.ts'
import { IpfsError } from '../../../packages/peer/src/ipfsconn/errors.ts'
import { createMonitor } from '../../../packages/peer/src/monitor/index.ts'
import { parsePeerstore } from '../../../packages/peer/src/net/peerstore-file.ts'
import { decodeMetric, encodeMetric } from '../../../packages/peer/src/net/rpc/codecs.ts'
import { decodeRow, encodeRow, type Row } from '../../../packages/peer/src/pintracker/rows.ts'
import { ADDRESSES, CIDS, PEER, RSA_PEER, texts } from '../corpus.ts'
import { check, checkStable, neverRefuses, refusedBy, type Target } from '../target.ts'
import { METRICS } from './rpc-values.ts'

const MIB = 1024 * 1024
const pingValues = METRICS.map(decodeMetric).map(({ value }) => value)

const ping: Target = {
  name: 'ping value',
  format: 'json',
  corpus: () => texts(pingValues.filter(value => value.startsWith('{'))),
  refusal: neverRefuses,
  maxBytes: 64 * 1024,
  run(input) {
    const value = parsePing(utf8Text(input))
    const { peerName, ipfs, ipfsAddresses } = value
    check(
      [peerName, ipfs, ...ipfsAddresses].every(text => typeof text === 'string'),
      'all of it is text',
    )
    // Addresses that are of no use elsewhere are left out once.
    const shared = parsePing(formatPing(value))
    checkStable(shared, formatPing, parsePing)
    return true
  },
}

/** Metrics of a peer that speaks for itself, into the monitor. */
const monitor: Target = {
  name: 'monitor',
  format: 'msgpack',
  corpus: () => METRICS,
  refusal: neverRefuses,
  maxBytes: 64 * 1024,
  run(input, random) {
    let deliver: ((data: Uint8Array, from: string) => void) | undefined
    const clock = createManualClock()
    const room = createMonitor(
      {
        selfId: RSA_PEER,
        clock,
        logger: silentLogger,
        codec: { encode: encodeMetric, decode: decodeMetric },
        pubsub: {
          publish: () => Promise.resolve(),
          subscribe: (_topic: string, handler: (message: never) => void) => {
            deliver = (data, from) => handler({ data, from } as never)
            return { [Symbol.dispose]: () => undefined }
          },
        },
      },
      { checkIntervalMs: 15_000 },
    )
    let peer = PEER
    try {
      // The author of a message has an id.
      peer = decodeMetric(input).peer || PEER
    } catch {
      // The monitor refuses it too; who sent it does not matter then.
    }
    deliver?.(input, peer)
    for (const bytes of METRICS) deliver?.(bytes, random.int(2) === 0 ? peer : PEER)
    for (const name of room.names()) room.latest(name)
    const members = room.members()
    check(members.includes(RSA_PEER), 'we are a member')
    void room[Symbol.asyncDispose]()
    return members.includes(peer)
  },
}

// ---- files of the operator, rows of the store

const peerstore: Target = {
  name: 'peerstore file',
  share: 0.3,
  format: 'text',
  corpus: () =>
    texts([`# comment\n${ADDRESSES.join('\n')}\n`, ADDRESSES.map(address => `${address}\r\n`).join('')]),
  refusal: neverRefuses,
  maxBytes: MIB,
  run(input) {
    const { addresses } = parsePeerstore(utf8Text(input))
    const again = parsePeerstore(addresses.join('\n'))
    check(
      again.addresses.length === addresses.length && again.invalid.length === 0,
      'what is good stays good',
    )
    return addresses.length > 0
  },
}

const initial = (choice: Partial<Parameters<typeof config.initialConfig>[0]>) =>
  config.formatServiceConfig(
    config.initialConfig({
      consensus: 'crdt',
      datastore: 'pebble',
      ipfs: 'ipfshttp',
      peername: 'p',
      secret: seededRandom(1).bytes(32),
      ...choice,
    }),
  )

const serviceJson: Target = {
  name: 'service.json',
  format: 'json',
  corpus: () =>
    texts([initial({}), initial({ ipfs: 'embedded' }), initial({ consensus: 'raft', datastore: 'badger3' })]),
  refusal: refusedBy(config.ConfigError),
  maxBytes: 256 * 1024,
  allocation: { perByte: 1_000, constant: 4 * MIB },
  run(input) {
    const read = (text: string) => config.parseServiceConfig(text, 'host')
    const value = read(utf8Text(input))
    checkStable(value, config.formatServiceConfig, read)
    config.validateServiceConfig(value)
    config.toPeerConfig(value, '/folder')
    return true
  },
}

const variables = [
  'CLUSTER_PEERNAME=x', 'CLUSTER_SECRET=00', 'CLUSTER_CONNECTIONMANAGER_HIGHWATER=0x200', 'CLUSTER_CRDT_TRUSTEDPEERS=a,b', 'CLUSTER_TAGS_TAGS=region:eu,zone:b',
  'CLUSTER_MONITORPINGINTERVAL=2s', 'CLUSTER_DISABLEREPINNING=false', 'CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS=/ip4/127.0.0.1/tcp/1', 'CLUSTER_RESTAPI_BASICAUTHCREDENTIALS=u:p', 'CLUSTER_REPLICATIONFACTORMIN=-1',
] // prettier-ignore

const environment: Target = {
  name: 'environment variables',
  format: 'text',
  corpus: () => texts([variables.join('\n'), ...variables]),
  tokens: variables.map(utf8),
  refusal: refusedBy(config.ConfigError),
  maxBytes: 64 * 1024,
  allocation: { perByte: 1_000, constant: 4 * MIB },
  run(input) {
    const pairs = utf8Text(input)
      .split('\n')
      .map(line => [line.split('=', 1)[0] ?? '', line.slice(line.indexOf('=') + 1)] as const)
    config.validateServiceConfig(config.withEnvironment(BASE, Object.fromEntries(pairs)))
    return true
  },
}
const BASE = config.parseServiceConfig(initial({}), 'host')

const key = await generateKeyPairFromSeed('Ed25519', seededRandom(3).bytes(32))
const IDENTITY = { id: peerIdFromPrivateKey(key).toString(), privateKey: privateKeyToProtobuf(key) }

const identity: Target = {
  name: 'identity.json',
  format: 'json',
  corpus: () => texts([formatIdentity(IDENTITY)]),
  refusal: refusedBy(IdentityError),
  maxBytes: 64 * 1024,
  run(input) {
    checkStable(parseIdentity(utf8Text(input)), formatIdentity, text => parseIdentity(text))
    return true
  },
}

const ROW: Row = { status: 'pin_error', queue: 'retry', generation: 7, attempts: 3, due: 2 ** 40, changed: 2 ** 41, submitted: 5, direct: true, size: 70_000, kept: true, error: 'no' } // prettier-ignore

const trackerRow: Target = {
  name: 'tracker row',
  format: 'bytes',
  corpus: () => [encodeRow(ROW), encodeRow({ ...ROW, status: 'pinned', queue: undefined, error: '' })],
  refusal: error => (error instanceof RangeError ? 'RangeError' : undefined),
  // Longer error texts are cut, perhaps inside a character.
  maxBytes: 300,
  run(input) {
    checkStable(decodeRow(input), encodeRow, decodeRow)
    return true
  },
}

const ipfsPath: Target = {
  name: 'ipfs path',
  format: 'text',
  corpus: () =>
    texts(CIDS.flatMap(cid => [`/ipfs/${cid}/a/../b`, `${cid}/x//y`, `/ipns/${cid}`, `/ipld/${cid}`])),
  refusal: refusedBy(IpfsError),
  maxBytes: 64 * 1024,
  run(input) {
    const { text } = parseIpfsPath(utf8Text(input))
    check(parseIpfsPath(text).text === text, 'a clean path is clean')
    return true
  },
}

export const peerTargets: readonly Target[] = [
  ping, monitor, peerstore, serviceJson, environment, identity, trackerRow, ipfsPath,
] // prettier-ignore
