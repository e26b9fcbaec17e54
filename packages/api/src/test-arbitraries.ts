/** Generators of the API's types for property tests. */
import * as fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import {
  peerIdText,
  type GlobalPinInfo,
  type ShardsInfo,
  type Pin,
  type PinInfoShort,
  type PinOptions,
  type PinProgress,
} from './index.ts'
import { PIN_TYPE_BITS, TRACKER_STATUS, type PinType } from './status.ts'

/** Like `fc.record`, of objects with the usual prototype only. */
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })

export const anyCid = () =>
  fc
    .tuple(fc.constantFrom(0, 1), fc.constantFrom(0x55, 0x70, 0x71, 0x0129), bytes(32))
    .map(([version, code, digest]) =>
      version === 0
        ? CID.createV0(createDigest(0x12, digest) as never)
        : CID.createV1(code, createDigest(0x12, digest)),
    )

export const anyPeerId = () =>
  fc.oneof(
    bytes(32).map(key => peerIdText(Uint8Array.of(0, 36, 8, 1, 18, 32, ...key))),
    bytes(32).map(hash => peerIdText(Uint8Array.of(0x12, 32, ...hash))),
  )

export const anyMultiaddr = () =>
  fc.oneof(
    fc
      .tuple(fc.ipV4(), fc.nat(65535), anyPeerId())
      .map(([ip, port, peer]) => `/ip4/${ip}/tcp/${port}/p2p/${peer}`),
    fc
      .tuple(fc.nat(65535), anyPeerId())
      .map(([port, peer]) => `/dns4/a.example/udp/${port}/quic-v1/p2p/${peer}`),
  )

/** Years 1 to 9999, and the zero time. */
export const anyTime = () =>
  fc.option(fc.bigInt({ min: -62135596799n * 1_000_000_000n, max: 253402300799n * 1_000_000_000n }))

export const anyText = () => fc.string({ unit: 'grapheme' })

export const anyMetadata = () => fc.dictionary(anyText(), anyText(), { noNullPrototype: true, maxKeys: 4 })

/** Fields that are there or not. */
const some = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<Partial<T>> =>
  fc.record(model, { noNullPrototype: true, requiredKeys: [] }) as fc.Arbitrary<Partial<T>>

const anySize = () => fc.bigInt({ min: 0n, max: 2n ** 63n - 1n })

export const anyPinOptions = (): fc.Arbitrary<PinOptions> =>
  fc.tuple(anyGoPinOptions(), some({ size: anySize(), maxPinSize: anySize() })).map(joined)

const joined = <A, B>([a, b]: readonly [A, B]): A & B => ({ ...a, ...b })

const anyGoPinOptions = () =>
  record<Omit<PinOptions, 'size' | 'maxPinSize'>>({
    replicationFactorMin: fc.integer({ min: -1, max: 20 }),
    replicationFactorMax: fc.integer({ min: -1, max: 20 }),
    name: anyText(),
    mode: fc.constantFrom('recursive', 'direct'),
    shardSize: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    userAllocations: fc.array(anyPeerId(), { maxLength: 2 }),
    expireAt: anyTime(),
    metadata: anyMetadata(),
    pinUpdate: fc.option(anyCid()),
    origins: fc.array(anyMultiaddr(), { maxLength: 2 }),
  })

export const anyPin = (): fc.Arbitrary<Pin> =>
  fc
    .tuple(
      anyPinOptions(),
      record({
        cid: anyCid(),
        type: fc.constantFrom(...(Object.keys(PIN_TYPE_BITS) as PinType[])),
        allocations: fc.array(anyPeerId(), { maxLength: 3 }),
        maxDepth: fc.integer({ min: -1, max: 3 }),
        reference: fc.option(anyCid()),
        timestamp: anyTime(),
      }),
    )
    .map(([options, rest]) => ({ ...options, ...rest }))

const anyProgress = (): fc.Arbitrary<PinProgress> =>
  fc
    .tuple(
      record({
        blocks: fc.nat(),
        bytes: anySize(),
        bytesPerSecond: fc.nat(),
      }),
      some({ totalBytes: anySize() }),
    )
    .map(joined)

export const anyPinInfoShort = (): fc.Arbitrary<PinInfoShort> =>
  fc.tuple(anyGoPinInfoShort(), some({ size: anySize(), progress: anyProgress() })).map(joined)

const anyGoPinInfoShort = () =>
  record<Omit<PinInfoShort, 'size' | 'progress'>>({
    peerName: anyText(),
    ipfs: fc.oneof(fc.constant(''), anyPeerId()),
    ipfsAddresses: fc.array(anyMultiaddr(), { maxLength: 2 }),
    status: fc.constantFrom(...Object.values(TRACKER_STATUS)),
    ts: anyTime(),
    error: anyText(),
    attemptCount: fc.nat(),
    priorityPin: fc.boolean(),
  })

const anyShards = (): fc.Arbitrary<ShardsInfo> =>
  record({
    total: fc.nat(),
    pinned: fc.nat(),
    pinning: fc.nat(),
    error: fc.nat(),
    problems: fc.array(record({ cid: anyCid(), error: anyText() }), { maxLength: 2 }),
  })

export const anyGlobalPinInfo = (): fc.Arbitrary<GlobalPinInfo> =>
  fc.tuple(anyGoGlobalPinInfo(), some({ shards: anyShards() })).map(joined)

const anyGoGlobalPinInfo = () =>
  record<Omit<GlobalPinInfo, 'shards'>>({
    cid: anyCid(),
    name: anyText(),
    allocations: fc.option(fc.array(anyPeerId(), { maxLength: 2 })),
    origins: fc.option(fc.array(anyMultiaddr(), { maxLength: 2 })),
    created: anyTime(),
    metadata: fc.option(anyMetadata().filter(metadata => Object.keys(metadata).length > 0)),
    peerMap: fc
      .array(fc.tuple(anyPeerId(), anyPinInfoShort()), { maxLength: 3 })
      .map(entries => Object.fromEntries(entries)),
  })
