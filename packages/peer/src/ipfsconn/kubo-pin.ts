/** Pinning through Kubo: origins, `pin/update`, and `pin/add` with its progress stream. */
import type { IPFSPinStatus, Multiaddr, Pin, PinMode } from '@ipfs-cluster/api'
import {
  anySignal,
  errorMessage,
  Limiter,
  type AbortOptions,
  type Clock,
  type Logger,
  createStallGuard,
} from '@ipfs-cluster/base'
import { CID } from 'multiformats/cid'
import { badAnswer, IpfsError, timedOut } from './errors.ts'
import type { KuboClient } from './kubo-client.ts'
import type { PinMetrics } from './metrics.ts'
import type { IpfsPinProgress } from './types.ts'

/** Origins of a pin that are tried, all at once. */
export const MAX_ORIGINS = 10
/** `pin/update` says nothing until it is done, so it gets the time a large fetch may take. */
export const PIN_UPDATE_TIMEOUT_MS = 24 * 60 * 60 * 1000

export interface PinOptions extends AbortOptions {
  readonly onProgress?: (progress: IpfsPinProgress) => void
}

export interface KuboPinComponents {
  readonly client: KuboClient
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: PinMetrics
}

export interface KuboPinTimeouts {
  readonly pinTimeoutMs: number
  readonly ipfsRequestTimeoutMs: number
}

/** One for all: making an error with its stack costs more than much of the rest. */
const PIN_DONE = new DOMException('the pin is done', 'AbortError')

export async function pinWithKubo(
  components: KuboPinComponents,
  timeouts: KuboPinTimeouts,
  pin: Pin,
  options: PinOptions,
): Promise<void> {
  const { client, logger, metrics } = components
  const { signal } = options
  const status = (cid: CID, mode: PinMode) =>
    pinStatus(client, cid, mode, { signal, timeoutMs: timeouts.ipfsRequestTimeoutMs })
  const mode = pin.maxDepth === 0 ? 'direct' : 'recursive'
  if ((await status(pin.cid, mode)) === mode) return

  const ended = new AbortController()
  const connecting = connectAll(components, pin.origins.slice(0, MAX_ORIGINS), {
    signal: anySignal(ended.signal, signal),
    timeoutMs: timeouts.ipfsRequestTimeoutMs,
  })
  try {
    const from = pin.pinUpdate
    if (from !== null && (await status(from, 'recursive')) === 'recursive') {
      const path = `pin/update?arg=${from}&arg=${pin.cid}&unpin=false`
      await client.bytes(path, { signal, timeoutMs: PIN_UPDATE_TIMEOUT_MS })
      logger.debug({ from, cid: pin.cid }, 'updated the pin in IPFS')
    } else {
      metrics.asked()
      await pinAdd(components, timeouts.pinTimeoutMs, pin, options).catch((error: unknown) => {
        metrics.failed()
        throw error
      })
    }
    metrics.changed(1)
  } finally {
    ended.abort(PIN_DONE)
    await connecting
  }
}

/** What `pin/ls` says of one CID under the mode asked for; another mode counts as unpinned. */
export async function pinStatus(
  client: KuboClient,
  cid: CID,
  mode: PinMode,
  options: AbortOptions & { readonly timeoutMs: number },
): Promise<IPFSPinStatus> {
  const path = `pin/ls?stream=true&arg=${cid}&type=${mode}`
  try {
    for await (const answer of client.lines(path, options)) return pinTypeOf(field(answer, 'Type'))
  } catch (error) {
    // The texts of Kubo: "path 'Qm…' is not pinned", and "…is not pinned recursively" is not among them.
    if (isRequestFailure(error, /not pinned$/)) return 'unpinned'
    throw error
  }
  throw badAnswer(path, 'an empty answer')
}

/** `recursive`, `direct`, `indirect` or `indirect through <cid>`. */
export function pinTypeOf(type: unknown): IPFSPinStatus {
  if (type === 'recursive' || type === 'direct') return type
  return typeof type === 'string' && type.startsWith('indirect') ? 'indirect' : 'bug'
}

/** Connects to each address at the same time; a failure is only worth a note. Never rejects. */
async function connectAll(
  { client, logger }: KuboPinComponents,
  addresses: readonly Multiaddr[],
  options: AbortOptions & { readonly timeoutMs: number },
): Promise<void> {
  const limiter = new Limiter(MAX_ORIGINS)
  const connect = async (address: Multiaddr) => {
    try {
      await client.bytes(`swarm/connect?arg=${encodeURIComponent(address)}`, options)
    } catch (error) {
      logger.debug({ address, error: errorMessage(error) }, 'could not connect IPFS to an origin')
    }
  }
  await Promise.all(addresses.map(address => limiter.run(() => connect(address))))
}

async function pinAdd(
  { client, clock }: KuboPinComponents,
  pinTimeoutMs: number,
  pin: Pin,
  { signal, onProgress }: PinOptions,
): Promise<void> {
  const path = `pin/add?arg=${pin.cid}&${depthArguments(pin.maxDepth)}&progress=true`
  using guard = createStallGuard(clock, pinTimeoutMs)
  let confirmed = false
  let best = { blocks: 0, bytes: 0 }
  try {
    for await (const answer of client.lines(path, { signal: anySignal(guard.signal, signal) })) {
      const blocks = numberOf(field(answer, 'Progress'))
      const bytes = numberOf(field(answer, 'Bytes'))
      // The daemon speaks twice a second, fetching or not: only growth is progress. Bytes come with Kubo 0.40.
      if (blocks > best.blocks || bytes > best.bytes) {
        best = { blocks: Math.max(blocks, best.blocks), bytes: Math.max(bytes, best.bytes) }
        guard.progress()
        onProgress?.(best.bytes === 0 ? { blocks: best.blocks } : best)
      }
      confirmed ||= namesPin(field(answer, 'Pins'), pin.cid)
    }
  } catch (error) {
    const stalled = guard.signal.aborted && signal?.aborted !== true
    throw stalled ? timedOut(path, pinTimeoutMs, 'no progress') : error
  }
  // A broken stream may look like a finished one; only the list of pins says that it is.
  if (!confirmed) throw badAnswer(path, 'the daemon ended its answer without confirming the pin')
}

function depthArguments(maxDepth: number): string {
  if (maxDepth === 0) return 'recursive=false'
  return maxDepth < 0 ? 'recursive=true' : `max-depth=${maxDepth}&recursive=true`
}

function namesPin(pins: unknown, cid: CID): boolean {
  const wanted = cid.multihash.bytes.toHex()
  return Array.isArray(pins) && pins.some(pin => multihashHex(pin) === wanted)
}

function multihashHex(text: unknown): string | undefined {
  try {
    return CID.parse(String(text)).multihash.bytes.toHex()
  } catch {
    // Not a CID, so not ours.
    return undefined
  }
}

/** True for an error that the daemon answered with such a text. */
export function isRequestFailure(error: unknown, text: RegExp): boolean {
  return error instanceof IpfsError && error.data.code === 'IPFS_REQUEST_FAILED' && text.test(error.data.text)
}

/** A field of a decoded JSON object; `undefined` when there is none. */
export function field(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  return (value as Readonly<Record<string, unknown>>)[name]
}

function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : 0
}
