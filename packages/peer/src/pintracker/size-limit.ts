/** `max_pin_size`: content larger than a peer or its pin allows is not fetched, or no further. */
import type { Pin } from '@ipfs-cluster/api'
import { CodedError, formatByteSize, type AbortOptions } from '@ipfs-cluster/base'
import { cidOfBytes } from '@ipfs-cluster/api'
import type { CID } from 'multiformats/cid'
import type { IpfsPinProgress } from '../ipfsconn/index.ts'
import type { PinState } from '../state/index.ts'
import { queueKey, type Row } from './rows.ts'
import type { TrackerTable } from './table.ts'
import { NEVER_DUE } from './transitions.ts'
import type { PinTrackerConfig } from './types.ts'

export interface PinSizeFailure {
  readonly code: 'PIN_TOO_LARGE'
  /** Bytes. */
  readonly limit: number
  /** Bytes that it has at least. */
  readonly reached: number
}

export class PinSizeError extends CodedError<PinSizeFailure> {
  override readonly name = 'PinSizeError'
}

export interface SizeLimit {
  /** Bytes; infinite without one. */
  readonly bytes: number
  /** @throws PinSizeError when content of so many bytes, of which `fetched` are here, is more than allowed. */
  check(size: number, fetched: number): void
}

/** The smaller of what this peer and the pin allow. */
export function sizeLimit(
  pin: Pick<Pin, 'maxPinSize'> | undefined,
  { maxPinSize = 0 }: Pick<PinTrackerConfig, 'maxPinSize'>,
): SizeLimit {
  const ofPin = Number(pin?.maxPinSize ?? 0n) || Number.POSITIVE_INFINITY
  const ofPeer = maxPinSize || Number.POSITIVE_INFINITY
  const limit = Math.min(ofPin, ofPeer)
  const whose = ofPin < ofPeer ? 'max_pin_size of the pin' : 'max_pin_size of this peer'
  return {
    bytes: limit,
    check(size, fetched) {
      if (size <= limit) return
      const reached = size > fetched ? `it has ${inBytes(size)}` : `it has reached ${inBytes(fetched)}`
      throw new PinSizeError(
        `the content is too large: ${reached}, and ${whose} is ${inBytes(limit)}; raise the limit and recover the pin, or unpin it`,
        { code: 'PIN_TOO_LARGE', limit, reached: size },
      )
    },
  }
}

/** The bytes that the content has at least, by what the daemon has told so far. */
export function leastSize({ bytes = 0, totalBytes = 0 }: IpfsPinProgress): number {
  return Math.max(bytes, totalBytes)
}

/** Pins that were too large, and are not by the limits of now: of those the table knows how large they were. */
export async function* fitting(
  table: Pick<TrackerTable, 'queued' | 'rows'>,
  state: Pick<PinState, 'getMany'>,
  config: PinTrackerConfig,
  options: AbortOptions = {},
): AsyncGenerator<readonly CID[]> {
  let from = queueKey('retry', NEVER_DUE, undefined)
  while (true) {
    options.signal?.throwIfAborted()
    const cids: CID[] = []
    for await (const [key, entry] of table.queued('retry', from, FITTING_CHUNK)) {
      cids.push(cidOfBytes(entry.cid))
      from = Uint8Array.of(...key, 0)
    }
    if (cids.length === 0) return
    const [rows, pins] = await Promise.all([table.rows(cids), state.getMany(cids)])
    yield cids.filter((_cid, i) => fits(rows[i], pins[i], config))
  }
}

/** Rows looked at together. */
const FITTING_CHUNK = 500

function fits(row: Row | undefined, pin: Pin | undefined, config: PinTrackerConfig): boolean {
  return row !== undefined && row.size <= sizeLimit(pin, config).bytes
}

function inBytes(size: number): string {
  return size < 1000 ? `${size} bytes` : `${formatByteSize(BigInt(size))} (${size} bytes)`
}
