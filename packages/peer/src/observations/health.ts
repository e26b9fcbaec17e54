import {
  CodedError,
  equalBytes,
  errorMessage,
  raceSignal,
  utf8,
  type AbortOptions,
  type Clock,
  type Random,
  type Store,
} from '@ipfs-cluster/base'
import type { Consensus } from '../consensus/index.ts'
import type { IpfsConnector } from '../ipfsconn/index.ts'
import { RPC, type Network } from '../net/index.ts'

export interface HealthFailure {
  readonly code: 'NOT_READY'
  /** Names of the parts that failed. */
  readonly parts: readonly string[]
}

export class HealthError extends CodedError<HealthFailure> {
  override readonly name = 'HealthError'
}

export interface HealthProbe {
  /**
   * Exercises every part; resolves when all did what they should. Whoever asks while a probe is under way shares it.
   *
   * @throws HealthError `NOT_READY`: the message names each part that failed, and why.
   */
  check(options?: AbortOptions): Promise<void>
}

export interface HealthProbeComponents {
  readonly store: Store
  readonly consensus: Pick<Consensus, 'state'>
  readonly network: Pick<Network, 'peerId' | 'topics' | 'rpc'>
  readonly ipfs: Pick<IpfsConnector, 'id'>
  /** The use cases serve: the IPFS daemon has answered once. */
  readonly ready: Promise<void>
  readonly clock: Clock
  readonly random: Random
}

/** For all parts together, side by side. Milliseconds. */
export const PROBE_TIMEOUT_MS = 5_000

/** The row that the probe writes. */
const PROBE_KEY = utf8('health/probe')
const PROBE_BYTES = 16

export function createHealthProbe(components: HealthProbeComponents): HealthProbe {
  const { clock } = components
  let isReady = false
  components.ready.then(
    () => {
      isReady = true
    },
    // Stopped before: the probe says that it is not ready.
    () => undefined,
  )
  const parts: Readonly<Record<string, (signal: AbortSignal) => Promise<void>>> = {
    store: () => writeAndRead(components),
    consensus: signal => readPinset(components.consensus, signal),
    pubsub: async () => {
      if (components.network.topics().length === 0) throw new Error('not subscribed to any topic')
    },
    rpc: signal => callSelf(components.network, signal),
    ipfs: async signal => void (await components.ipfs.id({ signal })),
    cluster: async () => {
      if (!isReady) throw new Error('still starting: the IPFS daemon has not answered yet')
    },
  }
  const probe = async () => {
    using deadline = deadlineOf(clock)
    const failed = await Promise.all(
      Object.entries(parts).map(async ([name, work]) => {
        try {
          await raceSignal(work(deadline.signal), deadline.signal)
          return []
        } catch (error) {
          return [{ name, why: errorMessage(error) }]
        }
      }),
    )
    const failures = failed.flat()
    if (failures.length === 0) return
    const what = failures.map(({ name, why }) => `${name}: ${why}`).join('; ')
    throw new HealthError(`not ready: ${what}`, {
      code: 'NOT_READY',
      parts: failures.map(({ name }) => name),
    })
  }
  let running: Promise<void> | undefined
  return {
    async check({ signal } = {}) {
      running ??= probe().finally(() => {
        running = undefined
      })
      await raceSignal(running, signal)
    },
  }
}

async function writeAndRead({ store, random }: HealthProbeComponents): Promise<void> {
  const value = random.bytes(PROBE_BYTES)
  await store.batch([{ type: 'put', key: PROBE_KEY, value }], { sync: true })
  const read = await store.get(PROBE_KEY)
  if (read === undefined || !equalBytes(read, value)) throw new Error('what was written is not what is read')
}

async function readPinset({ state }: Pick<Consensus, 'state'>, signal: AbortSignal): Promise<void> {
  for await (const _pin of state.list({ signal })) break
}

async function callSelf(
  { peerId, rpc }: Pick<Network, 'peerId' | 'rpc'>,
  signal: AbortSignal,
): Promise<void> {
  await rpc.call(peerId, RPC.Cluster.Version, {}, { signal })
}

/** Leaves no timer behind when the probe ends early, which is the rule. */
function deadlineOf(clock: Clock): { readonly signal: AbortSignal } & Disposable {
  const over = new AbortController()
  const late = new AbortController()
  clock.sleep(PROBE_TIMEOUT_MS, { signal: over.signal }).then(
    () => late.abort(new DOMException(`no answer within ${PROBE_TIMEOUT_MS} ms`, 'TimeoutError')),
    // Over in time.
    () => undefined,
  )
  return {
    signal: late.signal,
    [Symbol.dispose]: () => over.abort(),
  }
}
