/**
 * Lists of statuses between peers of this implementation (`PinTracker.StatusPages`): pages of packed rows in the order of CID bytes. Who
 * speaks is said once, and of a pin only what may differ from peer to peer; what the pinset says of it, the asker reads in its own.
 *
 * A row is: a byte of flags with the status in its lower four bits (the number of its one bit; 0: undefined), the length of the CID as a
 * varint, the CID, then what the flags announce: a time (4 bytes of Unix seconds, or 8 bytes of nanoseconds), a size (8 bytes), and instead
 * of everything but the CID, for what is rarer, a msgpack `PinInfoShort` behind its length as a varint. Integers are big-endian.
 */
import type { PinInfo, PinInfoShort, TrackerStatus } from '@ipfs-cluster/api'
import { compareBytes } from '@ipfs-cluster/base'
import {
  bytes,
  convert,
  decodeObject,
  encodeObject,
  field,
  int,
  nullable,
  omitEmpty,
  string,
  struct,
  type Codec,
} from '@ipfs-cluster/gorpc'
import type { CID } from 'multiformats/cid'
import { addresses, optionalCid, peerId, pinInfoShort, trackerStatus } from './codecs.ts'

/** What to list. */
export interface StatusPagesRequest {
  /** 0: everything. */
  readonly filter: TrackerStatus
  /** Resumes behind this CID. */
  readonly after: CID | null
}

export const statusPagesRequest: Codec<StatusPagesRequest> = struct<StatusPagesRequest>({
  filter: omitEmpty('f', trackerStatus),
  after: omitEmpty('a', optionalCid),
})

export type StatusSpeaker = Pick<PinInfoShort, 'peerName' | 'ipfs' | 'ipfsAddresses'>

export interface StatusPage {
  /** Who speaks, in the first page and whenever it has changed. */
  readonly speaker: StatusSpeaker | null
  /** Rows that were looked at for this page: a list that finds nothing shows so that it goes on. */
  readonly scanned: number
  readonly rows: Uint8Array
}

const speaker: Codec<StatusSpeaker> = struct<StatusSpeaker>({
  peerName: omitEmpty('pn', string),
  ipfs: omitEmpty('i', peerId),
  ipfsAddresses: omitEmpty('ia', addresses),
})

export const statusPage: Codec<StatusPage> = struct<StatusPage>({
  speaker: omitEmpty('p', nullable(speaker)),
  scanned: omitEmpty('n', convert(int, { read: count => Math.max(0, count), write: count => count })),
  rows: field('r', bytes),
})

/** A row of a page. */
export interface StatusRow {
  /** Binary CID. */
  readonly cid: Uint8Array
  readonly status: PinInfoShort
}

const STATUS_MASK = 0x0f
const HAS_SECONDS = 0x10
const HAS_NANOSECONDS = 0x20
const HAS_SIZE = 0x40
const IS_WHOLE = 0x80
const NS_PER_S = 1_000_000_000n
const MAX_SECONDS = 0xffff_ffffn
/** Longest CID in a row. Bytes. */
const MAX_CID_BYTES = 2048
/** Most that a row takes beside its CID and a whole status. Bytes. */
const ROW_OVERHEAD = 24

/** The rows of `infos`, which are in the order of their CIDs' bytes. */
export function encodeStatusRows(infos: readonly PinInfo[]): Uint8Array {
  const wholes = infos.map(info => (isUsual(info) ? undefined : encodeObject(pinInfoShort, ownPart(info))))
  let size = 0
  infos.forEach(({ cid }, i) => (size += ROW_OVERHEAD + cid.bytes.length + (wholes[i]?.length ?? 0)))
  const out = new Uint8Array(size)
  const view = new DataView(out.buffer)
  let at = 0
  const varint = (value: number) => {
    let rest = value
    for (; rest > 0x7f; rest >>>= 7) out[at++] = (rest & 0x7f) | 0x80
    out[at++] = rest
  }
  const raw = (value: Uint8Array) => {
    varint(value.length)
    out.set(value, at)
    at += value.length
  }
  let lastTime: bigint | null = null
  let lastSeconds = 0
  infos.forEach(({ cid, status, ts, size: bytesOfPin }, i) => {
    const whole = wholes[i]
    if (whole !== undefined) {
      out[at++] = IS_WHOLE
      raw(cid.bytes)
      return raw(whole)
    }
    const flags = at++
    let head = status === 0 ? 0 : 31 - Math.clz32(status)
    raw(cid.bytes)
    if (ts !== null && ts === lastTime) {
      head |= HAS_SECONDS
      view.setUint32(at, lastSeconds)
      at += 4
    } else if (ts !== null) {
      if (ts >= 0n && ts % NS_PER_S === 0n && ts / NS_PER_S <= MAX_SECONDS) {
        head |= HAS_SECONDS
        lastTime = ts
        lastSeconds = Number(ts / NS_PER_S)
        view.setUint32(at, lastSeconds)
        at += 4
      } else {
        head |= HAS_NANOSECONDS
        view.setBigInt64(at, ts)
        at += 8
      }
    }
    if (bytesOfPin !== undefined) {
      head |= HAS_SIZE
      view.setBigUint64(at, bytesOfPin)
      at += 8
    }
    out[flags] = head
  })
  return out.subarray(0, at)
}

/**
 * Reads the rows of a page.
 *
 * @param after the CID of the last row before this page: the order is checked, as a merge of lists relies on it.
 * @throws RangeError, MsgpackError
 */
export function decodeStatusRows(
  page: Uint8Array,
  by: StatusSpeaker,
  after: Uint8Array | undefined,
): StatusRow[] {
  const { peerName, ipfs, ipfsAddresses } = by
  const view = new DataView(page.buffer, page.byteOffset, page.length)
  const rows: StatusRow[] = []
  let at = 0
  let last = after
  let lastSeconds = -1
  let lastTime = 0n
  const varint = () => {
    let value = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = view.getUint8(at++)
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
    throw new RangeError('a row of a status page is malformed')
  }
  const raw = (max: number) => {
    const length = varint()
    if (length > max || length > page.length - at) throw new RangeError('a row of a status page is malformed')
    at += length
    return page.subarray(at - length, at)
  }
  while (at < page.length) {
    const head = view.getUint8(at++)
    const cid = raw(MAX_CID_BYTES)
    if (last !== undefined && compareBytes(last, cid) >= 0)
      throw new RangeError('the rows of a status page are not in the order of their CIDs')
    last = cid
    if ((head & IS_WHOLE) !== 0) {
      rows.push({ cid, status: { ...decodeObject(pinInfoShort, raw(page.length)), ...by } })
      continue
    }
    let ts: bigint | null = null
    if ((head & HAS_SECONDS) !== 0) {
      const seconds = view.getUint32(at)
      if (seconds !== lastSeconds) {
        lastSeconds = seconds
        lastTime = BigInt(seconds) * NS_PER_S
      }
      ts = lastTime
      at += 4
    } else if ((head & HAS_NANOSECONDS) !== 0) {
      ts = view.getBigInt64(at)
      at += 8
    }
    const bit = head & STATUS_MASK
    const status: PinInfoShort = {
      peerName,
      ipfs,
      ipfsAddresses,
      status: bit === 0 ? 0 : 1 << bit,
      ts,
      error: '',
      attemptCount: 0,
      priorityPin: false,
    }
    if ((head & HAS_SIZE) === 0) rows.push({ cid, status })
    else {
      rows.push({ cid, status: { ...status, size: view.getBigUint64(at) } })
      at += 8
    }
  }
  return rows
}

/** Nothing but a status of one bit, a time and perhaps a size. */
function isUsual({ status, error, attemptCount, priorityPin, progress }: PinInfo): boolean {
  const plain = error === '' && attemptCount === 0 && !priorityPin && progress === undefined
  return plain && (status & (status - 1)) === 0 && status >= 0 && status < 1 << 16
}

/** What is of this peer's pin alone. */
function ownPart(info: PinInfo): PinInfoShort {
  const { status, ts, error, attemptCount, priorityPin, size, progress } = info
  return {
    peerName: '',
    ipfs: '',
    ipfsAddresses: [],
    status,
    ts,
    error,
    attemptCount,
    priorityPin,
    ...(size !== undefined && { size }),
    ...(progress !== undefined && { progress }),
  }
}
