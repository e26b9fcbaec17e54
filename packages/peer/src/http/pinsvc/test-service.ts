/** A Pinning Service API over a real pinset and a cluster that says of each pin what a test wants, for tests. */
import {
  decodePin,
  encodePin,
  isRareStatus,
  newPin,
  parseCid,
  pinInfoMatcher,
  TRACKER_STATUS,
  type GlobalPinInfo,
  type ID,
  type PeerId,
  type Pin,
  type PinInfoShort,
  type TrackerStatus,
} from '@ipfs-cluster/api'
import { compareBytes, createMemoryStore, silentLogger, type Logger } from '@ipfs-cluster/base'
import { createManualClock, fakePeerId } from '@ipfs-cluster/testkit'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import * as Digest from 'multiformats/hashes/digest'
import { ClusterError } from '../../cluster/index.ts'
import { pinKey } from '../../state/index.ts'
import { openTestState, putPin } from '../../state/test-state.ts'
import type { HttpApiConfig } from '../common/index.ts'
import { createPinningService, type PinningServiceComponents } from './index.ts'
import type { ListingBounds } from './listing.ts'

export const [A, B, C] = [fakePeerId(0), fakePeerId(1), fakePeerId(2)]
export const ADDRESS = `/ip4/203.0.113.1/tcp/4001/p2p/${A}`
export const OWN_ADDRESS = `/ip4/127.0.0.1/tcp/4001/p2p/${A}`
export const LOGIN = { user: 'user', password: 'pass' }
const S = 1_000_000_000n
const OWN_ID: ID = {
  id: A,
  addresses: [],
  clusterPeers: [],
  clusterPeersAddresses: [],
  version: '',
  commit: '',
  rpcProtocolVersion: '',
  error: '',
  ipfs: { id: A, addresses: [OWN_ADDRESS], error: '' },
  peername: '',
}
/** Of the test's clock at its start: 2026-01-01. */
const START_MS = 1_767_225_600_000

export function cidOf(n: number): CID {
  const digest = new Uint8Array(32)
  const view = new DataView(digest.buffer)
  view.setUint32(0, n)
  view.setUint32(28, Math.imul(n + 1, 0x9e3779b1) >>> 0)
  return CID.createV1(raw.code, Digest.create(0x12, digest))
}

export const idOf = (n: number) => cidOf(n).toString()

export async function createWorld({
  bounds,
  logger = silentLogger,
}: { bounds?: ListingBounds; logger?: Logger } = {}) {
  const store = createMemoryStore()
  const clock = createManualClock(START_MS)
  const { crdt, state } = await openTestState(store, {}, clock)
  const statuses = new Map<string, Readonly<Record<PeerId, TrackerStatus>>>()
  const asked = { statuses: 0, listed: 0 }

  const put = async (pins: readonly Pin[], ...its: TrackerStatus[]) => {
    await crdt.commit(pins.map(putPin))
    for (const { cid } of pins) {
      statuses.set(cid.toString(), Object.fromEntries(its.map((each, i) => [fakePeerId(i), each])))
    }
  }
  const remove = async (cid: CID) => {
    await crdt.commit([{ type: 'delete', key: pinKey(cid) }])
    statuses.delete(cid.toString())
  }
  const infoOf = (pin: Pin, filter: TrackerStatus): GlobalPinInfo => ({
    cid: pin.cid,
    name: pin.name,
    allocations: pin.allocations,
    origins: pin.origins,
    created: pin.timestamp,
    metadata: pin.metadata,
    peerMap: Object.fromEntries(
      Object.entries(statuses.get(pin.cid.toString()) ?? {})
        .filter(([, status]) => filter === 0 || (status & filter) !== 0)
        .map(([peer, status]) => [peer, shortOf(status)]),
    ),
  })
  const pinGet = async (cid: CID) => {
    const pin = await state.get(cid)
    if (pin !== undefined) return pin
    throw new ClusterError('pin is not part of the pinset', { code: 'PIN_NOT_FOUND', cid: cid.toString() })
  }
  const submit = async (pin: Pin) => {
    const min = pin.replicationFactorMin === 0 ? -1 : pin.replicationFactorMin
    const max = pin.replicationFactorMax === 0 ? -1 : pin.replicationFactorMax
    const now = (clock.nowNs() / S) * S
    const submitted = { ...pin, replicationFactorMin: min, replicationFactorMax: max, timestamp: now }
    await put([decodePin(encodePin(submitted), pin.cid)], TRACKER_STATUS.pin_queued)
    return submitted
  }
  const cluster: PinningServiceComponents['cluster'] = {
    id: () => Promise.resolve(OWN_ID),
    pinGet,
    pin: async (cid, options) => await submit(newPin(cid, options)),
    async replace(from, to) {
      const replaced = await submit({ ...(await pinGet(from)), ...to, pinUpdate: from })
      await remove(from)
      return replaced
    },
    async unpin(cid) {
      const pin = await pinGet(cid)
      await remove(cid)
      return pin
    },
    async *statusOf(pins) {
      for await (const pin of pins) {
        asked.statuses++
        yield infoOf(pin, 0)
      }
    },
    async *statusAll(filter, { listing } = {}) {
      if (!isRareStatus(filter)) throw new Error('a list that would have all pins')
      const matches = listing === undefined ? () => true : pinInfoMatcher(listing.filter)
      const cids = [...statuses.keys()].map(text => parseCid(text))
      for (const cid of cids.sort((a, b) => compareBytes(a.bytes, b.bytes))) {
        const pin = await state.get(cid)
        if (pin === undefined) continue
        const info = infoOf(pin, filter)
        if (Object.keys(info.peerMap).length === 0 || !matches(info)) continue
        asked.listed++
        yield info
      }
    },
  }
  const addresses = new Map([[A, [ADDRESS]]])
  const components: PinningServiceComponents = {
    cluster,
    pins: state,
    pinCount: () => statuses.size,
    ...(bounds && { bounds }),
    members: () => [A, B, C],
    ipfsAddressesOf: peer => addresses.get(peer) ?? [],
    clock,
    logger,
  }
  return {
    components,
    clock,
    state,
    statuses,
    addresses,
    asked,
    put,
    remove,
    [Symbol.asyncDispose]: () => crdt[Symbol.asyncDispose](),
  }
}

export type World = Awaited<ReturnType<typeof createWorld>>

function shortOf(status: TrackerStatus): PinInfoShort {
  return {
    peerName: 'peer',
    ipfs: '',
    ipfsAddresses: [],
    status,
    ts: 0n,
    error: (status & TRACKER_STATUS.error) === 0 ? '' : 'the daemon is down',
    attemptCount: 0,
    priorityPin: false,
  }
}

export const pinAt = (n: number, seconds: number, fields: Partial<Pin> = {}): Pin =>
  newPin(cidOf(n), {
    timestamp: BigInt(seconds) * S,
    replicationFactorMin: -1,
    replicationFactorMax: -1,
    ...fields,
  })

const CONFIG: HttpApiConfig = {
  listen: ['/ip4/127.0.0.1/tcp/0'],
  readTimeoutMs: 0,
  readHeaderTimeoutMs: 5_000,
  writeTimeoutMs: 0,
  idleTimeoutMs: 120_000,
  maxHeaderBytes: 4096,
  headers: { 'X-Own': ['a', 'b'] },
}

export async function startTestService(world: World, config: Partial<HttpApiConfig> = {}) {
  const server = await createPinningService(world.components, { ...CONFIG, ...config })
  const url = server.urls[0] as string
  return {
    url,
    async ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
      const response = await fetch(url + path, {
        method,
        headers,
        redirect: 'manual',
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      })
      const text = await response.text()
      return {
        status: response.status,
        headers: response.headers,
        text,
        get json() {
          return JSON.parse(text)
        },
      }
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}
