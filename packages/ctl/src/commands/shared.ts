/** Parts that several commands have in common. */
import {
  parseCid,
  readablePeers,
  TRACKER_STATUS,
  type PeerId,
  type Pin,
  type Time,
  type TrackerStatus,
} from '@ipfs-cluster/api'
import { anySignal, formatDurationNs, parseByteSize, parseDurationNs } from '@ipfs-cluster/base'
import { boolean, duration, integer, type Parsed } from '@ipfs-cluster/base/cli'
import type { CID } from 'multiformats/cid'
import { LocalFailure, trying } from '../failure.ts'
import { statusShape, type Shape } from '../format.ts'
import type { Session } from '../session.ts'

/** A --wait-timeout must exceed this to count: the first look is only then. */
const CHECK_EVERY_NS = 1_000_000_000n
/** Between a change and the look at its status. */
const SETTLE_MS = 1_000

export const localFlag = boolean('local', 'Only on the peer that is asked')
export const waitTimeoutFlag = duration(
  'wait-timeout, wt',
  'How long to --wait, such as 30s or 5m; 0s is forever',
)

export const waitFlags = {
  noStatus: boolean('no-status, ns', 'Print the pin instead of asking for its status (faster)'),
  wait: boolean('wait, w', 'Wait until as many peers as the minimum replication factor are done'),
  waitLimit: integer('wait-limit, wl', 'With --wait: how many peers must be done'),
  waitTimeout: waitTimeoutFlag,
}

export function readCid(doing: string, text: string | undefined): CID {
  return trying(doing, () => parseCid(text ?? ''))
}

/** The time of `--expire-in`. */
export function expiryOf(expireIn: string, session: Session): Time {
  if (expireIn === '') return null
  return session.io.clock.nowNs() + trying('parsing expire-in', () => parseDurationNs(expireIn))
}

export function metadataOf(pairs: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    pairs.map(pair => {
      const equals = pair.indexOf('=')
      if (equals < 0) throw new LocalFailure('parsing metadata', 'metadata were not in the format key=value')
      return [pair.slice(0, equals), pair.slice(equals + 1)]
    }),
  )
}

/** A flag that is a number of bytes, such as `500MB`. */
export function bytesOf(flag: string, size: string): bigint {
  return trying(`parsing ${flag}`, () => parseByteSize(size))
}

/** Sizes that were given, in bytes. */
export function sizesOf(values: { readonly size: string; readonly maxPinSize: string }) {
  return {
    ...(values.size === '' ? {} : { size: bytesOf('size', values.size) }),
    ...(values.maxPinSize === '' ? {} : { maxPinSize: bytesOf('max-pin-size', values.maxPinSize) }),
  }
}

/** Every one of a comma list. */
export function allocationsOf(list: string): readonly PeerId[] {
  if (list === '') return []
  const texts = list.split(',').map(text => text.trim())
  const peers = readablePeers(texts)
  if (peers.length < texts.length) {
    throw new LocalFailure('decoding allocations', 'some peer IDs could not be decoded')
  }
  return peers
}

/** Waits as `--wait` does. @throws LocalFailure `waiting for pin status` */
export async function waitForPin(
  session: Session,
  cid: CID,
  target: TrackerStatus,
  timeoutNs: bigint,
  limit: number,
) {
  const { clock, signal } = session.io
  const deadline = timeoutNs > CHECK_EVERY_NS ? clock.timeout(Number(timeoutNs / 1_000_000n)) : undefined
  try {
    return await session.client.waitFor({ cid, target, limit }, { signal: anySignal(signal, deadline) })
  } catch (cause) {
    const late = `context deadline exceeded: not done within ${formatDurationNs(timeoutNs)}`
    const told =
      cause instanceof Error && cause === deadline?.reason ? new DOMException(late, cause.name) : cause
    throw new LocalFailure('waiting for pin status', told)
  }
}

/** What follows a change of a pin: wait if asked to, then print its status, or with --no-status the pin itself. */
export async function finishPin(
  session: Session,
  { values, given }: Parsed<typeof waitFlags>,
  pin: Pin,
  target: 'pinned' | 'unpinned',
  shape: Shape<Pin>,
): Promise<void> {
  const enough = target === 'pinned' ? pin.replicationFactorMin : 0
  const limit = given.has('waitLimit') ? values.waitLimit : enough
  const waited = values.wait
    ? await waitForPin(session, pin.cid, TRACKER_STATUS[target], values.waitTimeout, limit)
    : undefined
  if (values.noStatus) {
    await session.print(shape, pin)
    return
  }
  if (waited === undefined) await session.io.clock.sleep(SETTLE_MS, session.io)
  await session.print(statusShape, waited ?? (await session.client.status({ cid: pin.cid })))
}
