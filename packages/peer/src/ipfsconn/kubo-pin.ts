/** Pinning through Kubo: origins, `pin/update`, and `pin/add` with its progress stream. */
import { cidText, type IPFSPinStatus, type Multiaddr, type Pin, type PinMode } from '@ipfs-cluster/api'
import {
  anySignal,
  errorMessage,
  Limiter,
  type AbortOptions,
  type Clock,
  type Logger,
  type Random,
  createStallGuard,
} from '@ipfs-cluster/base'
import { CID } from 'multiformats/cid'
import { badAnswer, isRequestFailure, timedOut } from './errors.ts'
import { field } from './kubo-answer.ts'
import type { KuboClient } from './kubo-client.ts'
import { createRootSize } from './kubo-root-size.ts'
import { isShard, pinShard } from './kubo-shards.ts'
import type { PinMetrics } from './metrics.ts'
import type { IpfsPinProgress } from './types.ts'

/** Origins of a pin that are tried, all at once. */
export const MAX_ORIGINS = 10
/** `pin/update` says nothing until it is done, so it gets the time a large fetch may take. */
export const PIN_UPDATE_TIMEOUT_MS = 24 * 60 * 60 * 1000

export interface PinOptions extends AbortOptions {
  readonly onProgress?: (progress: IpfsPinProgress) => void
  /** See `IpfsConnector.pin`. */
  readonly isAbsent?: boolean
}

export interface KuboPinComponents {
  readonly client: KuboClient
  readonly clock: Clock
  readonly random: Random
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
  if (isShard(pin)) return await pinShardWithKubo(components, timeouts, pin, options)
  const mode = modeOf(pin)
  // Kubo's pin/add of what is pinned already is not free: it drops the pin and its name, walks the whole DAG, and pins it anew.
  if (options.isAbsent !== true && (await status(pin.cid, mode)) === mode) return
  if (pin.origins.length === 0 && pin.pinUpdate === null) {
    await countedAdd(components, timeouts.pinTimeoutMs, pin, options)
    return metrics.changed(1)
  }

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
      await countedAdd(components, timeouts.pinTimeoutMs, pin, options)
    }
    metrics.changed(1)
  } finally {
    ended.abort(PIN_DONE)
    await connecting
  }
}

async function pinShardWithKubo(
  components: KuboPinComponents,
  timeouts: KuboPinTimeouts,
  pin: Pin,
  options: PinOptions,
): Promise<void> {
  const { client, metrics } = components
  const { signal } = options
  const asked = { signal, timeoutMs: timeouts.ipfsRequestTimeoutMs }
  if (options.isAbsent !== true && (await pinStatus(client, pin.cid, 'direct', asked)) === 'direct') return
  // By a Go peer: it has more than it has to.
  if ((await pinStatus(client, pin.cid, 'recursive', asked)) === 'recursive') return
  const add = (part: Pin) => countedAdd(components, timeouts.pinTimeoutMs, part, options)
  await pinShard(components, timeouts, pin, add, { signal })
  // Its keeper, and itself.
  metrics.changed(1)
  metrics.changed(1)
}

async function countedAdd(
  components: KuboPinComponents,
  pinTimeoutMs: number,
  pin: Pin,
  options: PinOptions,
): Promise<void> {
  const { metrics } = components
  metrics.asked()
  try {
    await pinAdd(components, pinTimeoutMs, pin, options)
  } catch (error) {
    metrics.failed()
    throw error
  }
}

/** How the daemon is to pin it. */
function modeOf(pin: Pin): PinMode {
  return pin.maxDepth === 0 || isShard(pin) ? 'direct' : 'recursive'
}

/** Whether the daemon has each of the pins as it is wanted; `undefined` where it did not say. */
export async function arePinned(
  client: KuboClient,
  timeoutMs: number,
  pins: readonly Pin[],
  { signal, areLikely = false }: AbortOptions & { readonly areLikely?: boolean },
): Promise<(boolean | undefined)[]> {
  const request = { signal, timeoutMs }
  if (areLikely && pins.length > 1 && (await areAllPinned(client, pins, request))) return pins.map(() => true)
  const paths = pins.map(pin => pinLsPath(pin.cid, modeOf(pin)))
  const found = await client.askMany(paths, request)
  return found.map(({ answers: [first], refusal }, i) => {
    if (refusal !== undefined) return NOT_PINNED.test(refusal) ? false : undefined
    return first === undefined ? undefined : pinTypeOf(field(first, 'Type')) === modeOf(pins[i] as Pin)
  })
}

/** Characters of a request for many pins; 64 usual ones take half of it. Servers and proxies refuse heads from 16 KiB on, some by hanging up. */
const TOGETHER_CHARS_MAX = 8 * 1024

/** By one question: the daemon refuses it when one of them is missing, and does a fifth of the work otherwise. False also when it is not sure. */
async function areAllPinned(
  client: KuboClient,
  pins: readonly Pin[],
  request: AbortOptions & { readonly timeoutMs: number },
): Promise<boolean> {
  if (!pins.every(pin => modeOf(pin) === 'recursive')) return false
  const texts = pins.map(({ cid }) => cidText(cid))
  const path = `pin/ls?type=recursive&arg=${texts.join('&arg=')}`
  if (path.length > TOGETHER_CHARS_MAX) return false
  const [told] = await client.askMany([path], request)
  const keys = field(told?.answers[0], 'Keys')
  return texts.every(text => field(field(keys, text), 'Type') === 'recursive')
}

/** The texts of Kubo: "path 'Qm…' is not pinned", and "…is not pinned recursively" is not among them. */
const NOT_PINNED = /not pinned$/

function pinLsPath(cid: CID, mode: PinMode): string {
  return `pin/ls?stream=true&arg=${cidText(cid)}&type=${mode}`
}

/** What `pin/ls` says of one CID under the mode asked for; another mode counts as unpinned. */
export async function pinStatus(
  client: KuboClient,
  cid: CID,
  mode: PinMode,
  options: AbortOptions & { readonly timeoutMs: number },
): Promise<IPFSPinStatus> {
  const path = pinLsPath(cid, mode)
  let found: IPFSPinStatus | undefined
  try {
    await client.ask(path, answer => (found ??= pinTypeOf(field(answer, 'Type'))), options)
  } catch (error) {
    if (isRequestFailure(error, NOT_PINNED)) return 'unpinned'
    throw error
  }
  if (found === undefined) throw badAnswer(path, 'an empty answer')
  return found
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
  { client, clock, logger }: KuboPinComponents,
  pinTimeoutMs: number,
  pin: Pin,
  { signal, onProgress }: PinOptions,
): Promise<void> {
  const path = `pin/add?arg=${cidText(pin.cid)}&${depthArguments(pin.maxDepth)}&progress=true`
  using guard = createStallGuard(clock, pinTimeoutMs)
  let confirmed = false
  let best: Required<Pick<IpfsPinProgress, 'blocks' | 'bytes'>> & IpfsPinProgress = { blocks: 0, bytes: 0 }
  const tell = () => {
    const { bytes, ...rest } = best
    onProgress?.(bytes === 0 ? rest : best)
  }
  using root = createRootSize({ client, logger }, pin, {
    signal,
    timeoutMs: pinTimeoutMs,
    onSize(totalBytes) {
      best = { ...best, totalBytes }
      tell()
    },
  })
  const onAnswer = (answer: unknown) => {
    const blocks = numberOf(field(answer, 'Progress'))
    const bytes = numberOf(field(answer, 'Bytes'))
    // The daemon speaks twice a second, fetching or not: only growth is progress. Bytes come with Kubo 0.40.
    if (blocks > best.blocks || bytes > best.bytes) {
      best = { ...best, blocks: Math.max(blocks, best.blocks), bytes: Math.max(bytes, best.bytes) }
      guard.progress()
      tell()
    }
    if (blocks > 0 && onProgress !== undefined) root.progressed()
    confirmed ||= namesPin(field(answer, 'Pins'), pin.cid)
  }
  try {
    await client.ask(path, onAnswer, { signal: anySignal(guard.signal, signal) })
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
  if (!Array.isArray(pins)) return false
  if (pins.includes(cidText(cid))) return true
  // The daemon may write it in another version or base.
  const wanted = cid.multihash.bytes.toHex()
  return pins.some(pin => multihashHex(pin) === wanted)
}

function multihashHex(text: unknown): string | undefined {
  try {
    return CID.parse(String(text)).multihash.bytes.toHex()
  } catch {
    // Not a CID, so not ours.
    return undefined
  }
}

function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : 0
}
