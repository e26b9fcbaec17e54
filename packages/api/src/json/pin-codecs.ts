/** The JSON documents of pins and of what peers say of them (Go: the `json` tags of `api/types.go`), fields in Go's order. */
import {
  parsePinTypeBits,
  parseTrackerStatus,
  PIN_TYPE_BITS,
  pinTypeOfBits,
  TRACKER_STATUS,
  trackerStatusText,
} from '../status.ts'
import type { PinType, TrackerStatus } from '../status.ts'
import { memoize } from '@ipfs-cluster/base'
import type { GlobalPinInfo, Multiaddr, Pin, PinInfo, PinInfoShort, PinMode, PinOptions } from '../types.ts'
import { writeGlobalPinInfo, writePin, writeSubmittedPin } from './fast.ts'
import { pinInfoSizeFields, pinSizeFields } from './pin-size.ts'
import { shardsInfo } from './shards.ts'
import * as json from './values.ts'
import type { Fields, JsonCodec, JsonValue } from './values.ts'

/** A combined status has several names; few combinations occur. */
const statusText = memoize(256, trackerStatusText)
/** Those that a pin can have: not the names of filters. */
const STATUSES = Object.keys(TRACKER_STATUS).filter(name => name !== 'error' && name !== 'queued')

const status: JsonValue<TrackerStatus> = json.named<TrackerStatus>(
  STATUSES,
  0,
  parseTrackerStatus,
  statusText,
)

const mode: JsonValue<PinMode> = json.named<PinMode>(
  ['recursive', 'direct'],
  'recursive',
  name => (name === 'direct' ? 'direct' : 'recursive'),
  name => name,
)

const pinType: JsonValue<PinType> = json.named<PinType>(
  Object.keys(PIN_TYPE_BITS),
  'bad-type',
  name => pinTypeOfBits(parsePinTypeBits(name)),
  name => name,
)

const metadata = json.record(json.string, 'null')

/** `null` in the answers to `POST /pins`. */
const origins: JsonValue<readonly Multiaddr[]> = {
  ...json.list(json.multiaddr),
  schema: json.nullable(json.list(json.multiaddr)).schema,
}

const pinOptionsFields: Fields<Omit<PinOptions, keyof typeof pinSizeFields>> = {
  replicationFactorMin: {
    name: 'replication_factor_min',
    value: json.integer,
    about:
      'Least number of copies. −1, with a maximum of −1: every peer keeps it. 0: as the peer is configured.',
  },
  replicationFactorMax: {
    name: 'replication_factor_max',
    value: json.integer,
    about: 'Wanted number of copies.',
  },
  name: { name: 'name', value: json.string },
  mode: { name: 'mode', value: mode },
  shardSize: {
    name: 'shard_size',
    value: json.uint64,
    about: 'Bytes of a shard; 0 when the content is not sharded.',
  },
  userAllocations: {
    name: 'user_allocations',
    value: json.list(json.peerId, 'null'),
    about: 'Peers that were preferred. Not kept in the pinset.',
  },
  expireAt: { name: 'expire_at', value: json.time, about: 'When it is unpinned by itself.' },
  metadata: { name: 'metadata', value: metadata },
  pinUpdate: {
    name: 'pin_update',
    value: json.cidOrNull,
    about: 'The pin whose options and allocations were copied.',
  },
  origins: {
    name: 'origins',
    value: origins,
    about: 'IPFS peers to connect to before pinning, because they have the content.',
  },
}

const pinValue: JsonValue<Pin> = json.struct<Pin>('Pin', {
  ...pinOptionsFields,
  cid: { name: 'cid', value: json.cid },
  type: { name: 'type', value: pinType },
  allocations: {
    name: 'allocations',
    value: json.list(json.peerId),
    about: 'Peers that keep it; none when every peer does.',
  },
  maxDepth: {
    name: 'max_depth',
    value: json.integer,
    about: '−1: all of the DAG; 0: the root block alone; else so many levels.',
  },
  reference: {
    name: 'reference',
    value: json.cidOrNull,
    about: 'For parts of sharded content: the root, or the shard before.',
  },
  timestamp: { name: 'timestamp', value: json.time },
  ...pinSizeFields,
})

export const pinOptionsCodec: JsonCodec<PinOptions> = json.document(
  'pin_options',
  json.struct<PinOptions>('PinOptions', { ...pinOptionsFields, ...pinSizeFields }),
)

/** The writer of each takes what its own key has. */
const allOptionFields = Object.entries({
  ...pinOptionsFields,
  ...pinSizeFields,
}) as unknown as readonly (readonly [
  key: keyof PinOptions,
  field: { readonly name: string; readonly value: JsonValue<unknown> },
])[]

/** Some pin options as members of a JSON object, without its braces. */
export function pinOptionMembers(options: Partial<PinOptions>): string {
  return allOptionFields
    .filter(([key]) => options[key] !== undefined)
    .map(([key, { name, value }]) => `"${name}":${value.write(options[key])}`)
    .join(',')
}

/**
 * The pin options that a JSON object has, the others as in `defaults`; `null` is none.
 *
 * @throws ApiError `API_BAD_JSON`
 */
export function pinOptionsOver(object: Readonly<Record<string, unknown>>, defaults: PinOptions): PinOptions {
  const read = pinOptionsCodec.parse(object)
  const given = allOptionFields.filter(([, { name }]) => Object.hasOwn(object, name) && object[name] !== null)
  return given.length === 0
    ? defaults
    : { ...defaults, ...Object.fromEntries(given.map(([key]) => [key, read[key]])) }
}

/** A pin as read from the pinset: no user allocations and no metadata are `null`, no origins are `[]`. */
export const pinCodec: JsonCodec<Pin> = { ...json.document('pin', pinValue), stringify: writePin }

/** A pin as `POST /pins` answers: no metadata is `{}`, no origins are `null`. */
export const submittedPinCodec: JsonCodec<Pin> = { ...pinCodec, stringify: writeSubmittedPin }

const pinInfoShortFields: Fields<PinInfoShort> = {
  peerName: { name: 'peername', value: json.string },
  ipfs: { name: 'ipfs_peer_id', value: json.peerId, omit: json.isEmpty },
  ipfsAddresses: { name: 'ipfs_peer_addresses', value: json.list(json.multiaddr), omit: json.isEmpty },
  status: { name: 'status', value: status },
  ts: { name: 'timestamp', value: json.time },
  error: { name: 'error', value: json.string },
  attemptCount: { name: 'attempt_count', value: json.integer, about: 'How often it was tried.' },
  priorityPin: {
    name: 'priority_pin',
    value: json.boolean,
    about: 'Whether it waits, or waited, in the queue of young pins.',
  },
  ...pinInfoSizeFields,
}

const pinInfoShort: JsonValue<PinInfoShort> = json.struct('PinInfoShort', pinInfoShortFields)

export const pinInfoShortCodec: JsonCodec<PinInfoShort> = json.document('pin_info', pinInfoShort)

export const pinInfoCodec: JsonCodec<PinInfo> = json.document(
  'pin_info',
  json.struct<PinInfo>('PinInfo', {
    cid: { name: 'cid', value: json.cid },
    name: { name: 'name', value: json.string },
    peer: { name: 'peer', value: json.peerId },
    allocations: { name: 'allocations', value: json.list(json.peerId) },
    origins: {
      name: 'origins',
      value: json.list(json.multiaddr),
      about: 'IPFS peers to connect to before pinning, because they have the content.',
    },
    created: { name: 'created', value: json.time, about: 'When the pin was submitted.' },
    metadata: { name: 'metadata', value: json.nullable(metadata) },
    ...pinInfoShortFields,
  }),
)

const globalPinInfoValue: JsonValue<GlobalPinInfo> = json.struct<GlobalPinInfo>('GlobalPinInfo', {
  cid: { name: 'cid', value: json.cid },
  name: { name: 'name', value: json.string },
  allocations: { name: 'allocations', value: json.nullable(json.list(json.peerId)) },
  origins: {
    name: 'origins',
    value: json.nullable(json.list(json.multiaddr)),
    about: 'IPFS peers to connect to before pinning, because they have the content.',
  },
  created: { name: 'created', value: json.time, about: 'When the pin was submitted.' },
  metadata: { name: 'metadata', value: json.nullable(metadata) },
  peerMap: { name: 'peer_map', value: json.record(pinInfoShort) },
  shards: json.optional('shards', shardsInfo, 'Of the root of sharded content, when it alone is asked for.'),
})

export const globalPinInfoCodec: JsonCodec<GlobalPinInfo> = {
  ...json.document('pin_info', globalPinInfoValue),
  stringify: writeGlobalPinInfo,
}

/** The slow, table-driven writers that the fast ones must agree with; for tests. */
export const tableCodecs = {
  pin: json.document('pin', pinValue),
  globalPinInfo: json.document('pin_info', globalPinInfoValue),
}
