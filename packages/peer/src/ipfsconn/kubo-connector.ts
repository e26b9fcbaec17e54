import { parseCid, type IPFSPinInfo, type IPFSRepoGC, type Multiaddr, type PinMode } from '@ipfs-cluster/api'
import {
  anySignal,
  errorMessage,
  silentMeter,
  systemRandom,
  type AbortOptions,
  type Clock,
  type Logger,
  type Meter,
  type Random,
  type TraceHeaders,
  createStallGuard,
} from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { withHolds } from './block-holds.ts'
import { createCollectionGate } from './collection-gate.ts'
import { badAnswer, isRequestFailure, timedOut, unpinDisabled } from './errors.ts'
import { parseIpfsPath } from './ipfs-path.ts'
import { field } from './kubo-answer.ts'
import { createBlockPuts } from './kubo-blocks.ts'
import { createKuboClient, type KuboClient } from './kubo-client.ts'
import { dagFromKubo } from './kubo-dag.ts'
import { keeperHere } from './kubo-shards.ts'
import { countedPins, measuredConnector, pinMetrics } from './metrics.ts'
import { arePinned, pinStatus, pinTypeOf, pinWithKubo } from './kubo-pin.ts'
import type { IpfsConnector, IpfsHttpConfig } from './types.ts'

export interface KuboConnectorComponents {
  readonly clock: Clock
  readonly logger: Logger
  /** @default systemRandom */
  readonly random?: Random
  /** Tells the daemon of the trace that a request is part of. */
  readonly trace?: () => TraceHeaders | undefined
  /** @default silentMeter */
  readonly meter?: Meter
}

/**
 * The connector to a Kubo daemon over its HTTP RPC (Go: `ipfsconn/ipfshttp`; reference wire.md 10). Nothing is sent before the
 * first call; the daemon may come and go.
 *
 * @throws RangeError when `nodeMultiaddress` cannot be an address of a daemon.
 */
export function createKuboConnector(
  { clock, logger, trace, random = systemRandom, meter = silentMeter }: KuboConnectorComponents,
  config: IpfsHttpConfig,
): IpfsConnector {
  const client = createKuboClient({ clock, logger, trace, meter }, config.nodeMultiaddress)
  const metrics = pinMetrics(meter)
  const gate = createCollectionGate(clock)
  const timeoutMs = config.ipfsRequestTimeoutMs
  const blockPuts = createBlockPuts({ client, clock, random }, timeoutMs)
  const ask = async (path: string, { signal }: AbortOptions = {}) =>
    await client.text(path, { signal, timeoutMs })
  const askJson = async (path: string, options?: AbortOptions) => parseAnswer(path, await ask(path, options))

  const remove = async (cid: CID, { signal }: AbortOptions) => {
    try {
      await client.ask(`pin/rm?arg=${cid}`, () => undefined, { signal, timeoutMs: config.unpinTimeoutMs })
      metrics.changed(-1)
    } catch (error) {
      if (!isRequestFailure(error, /^not pinned or pinned indirectly$/)) throw error
    }
  }
  /** Whether this is a shard, and its blocks are pinned. */
  const isKeptShard = async (cid: CID, { signal }: AbortOptions) => {
    const keeper = await keeperHere({ client }, cid, { signal, timeoutMs })
    if (keeper === undefined) return false
    return (await pinStatus(client, keeper, 'recursive', { signal, timeoutMs })) === 'recursive'
  }

  const connector: IpfsConnector = {
    async id(options) {
      const answer = await askJson('id', options)
      return { id: text('id', answer, 'ID'), addresses: texts(field(answer, 'Addresses')).sort(), error: '' }
    },
    pin: (pin, options = {}) => pinWithKubo({ client, clock, random, logger, metrics }, config, pin, options),
    arePinned: (pins, options = {}) => arePinned(client, timeoutMs, pins, options),
    async unpin(cid, { signal } = {}) {
      if (config.unpinDisable) throw unpinDisabled()
      const keeper = await keeperHere({ client }, cid, { signal, timeoutMs })
      // The shard goes last: as long as it is pinned, somebody will come back.
      if (keeper !== undefined) await remove(keeper, { signal })
      await remove(cid, { signal })
    },
    pinLs: (options = {}) =>
      countedPins(metrics, pinLists(client, clock, { stallMs: timeoutMs, isKeptShard }, options)),
    async pinLsCid(cid, mode, { signal } = {}) {
      const found = await pinStatus(client, cid, mode, { signal, timeoutMs })
      const isKept = found === 'unpinned' && mode === 'recursive' && (await isKeptShard(cid, { signal }))
      return isKept ? 'recursive' : found
    },
    async repoStat(options) {
      const answer = await ask('repo/stat?size-only=true', options)
      return { repoSize: integer(answer, 'RepoSize'), storageMax: integer(answer, 'StorageMax') }
    },
    async *repoGC(options = {}) {
      // Kubo's collector takes whatever is not pinned, and that is every block of an add.
      using _alone = await gate.collect(options)
      yield* collectGarbage(client, config.repogcTimeoutMs, options)
    },
    async resolve(path, options) {
      const parsed = parseIpfsPath(path)
      if (parsed.cid !== undefined) return parsed.cid
      const request = `resolve?arg=${encodeURIComponent(parsed.text)}`
      const resolved = text(request, await askJson(request, options), 'Path')
      return cidOf(request, resolved.split('/')[2])
    },
    async swarmPeers(options) {
      const peers = field(await askJson('swarm/peers', options), 'Peers')
      return Array.isArray(peers) ? peers.map(peer => text('swarm/peers', peer, 'Peer')) : []
    },
    async swarmConnect(addresses: readonly Multiaddr[], options) {
      for (const address of addresses) {
        try {
          await ask(`swarm/connect?arg=${encodeURIComponent(address)}`, options)
        } catch (error) {
          // Of several addresses of a peer most may be out of reach: one refusal is not a failure of the call.
          if (!isRequestFailure(error)) throw error
          logger.debug({ address, error: errorMessage(error) }, 'IPFS could not connect')
        }
      }
    },
    async blockStream(blocks, options = {}) {
      using _held = await gate.enter(options)
      await blockPuts.put(blocks, options)
    },
    blockGet: (cid, { signal } = {}) => client.bytes(`block/get?arg=${cid}`, { signal, timeoutMs }),
    dagBlocks: (root, options = {}) => dagFromKubo({ client, clock }, timeoutMs, root, options),
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  }
  return measuredConnector(withHolds(connector, clock, gate.stay), meter, clock)
}

interface PinListing {
  readonly stallMs: number
  readonly isKeptShard: (cid: CID, options: AbortOptions) => Promise<boolean>
}

/** A shard counts as recursive, as its blocks are kept. */
async function* pinLists(
  client: KuboClient,
  clock: Clock,
  { stallMs, isKeptShard }: PinListing,
  options: AbortOptions,
): AsyncGenerator<IPFSPinInfo> {
  yield* pinList(client, clock, stallMs, 'recursive', options)
  for await (const info of pinList(client, clock, stallMs, 'direct', options)) {
    yield (await isKeptShard(info.cid, options)) ? { cid: info.cid, type: 'recursive' } : info
  }
}

/**
 * All pins of one kind. Unlike in Go the deadline is a pause of the daemon, not the whole listing: a million pins read by a slow
 * consumer take longer than any fixed time.
 */
async function* pinList(
  client: KuboClient,
  clock: Clock,
  stallMs: number,
  mode: PinMode,
  { signal }: AbortOptions,
): AsyncGenerator<IPFSPinInfo> {
  const path = `pin/ls?stream=true&type=${mode}`
  let waiting = true
  using guard = createStallGuard(clock, stallMs, () => waiting)
  try {
    for await (const answer of client.lines(path, { signal: anySignal(guard.signal, signal) })) {
      waiting = false
      yield { cid: cidOf(path, field(answer, 'Cid')), type: pinTypeOf(field(answer, 'Type')) }
      waiting = true
      guard.progress()
    }
  } catch (error) {
    throw guard.signal.aborted && signal?.aborted !== true ? timedOut(path, stallMs) : error
  }
}

async function* collectGarbage(
  client: KuboClient,
  timeoutMs: number,
  { signal }: AbortOptions,
): AsyncGenerator<IPFSRepoGC> {
  const path = 'repo/gc?stream-errors=true'
  for await (const answer of client.lines(path, { signal, timeoutMs })) {
    const key = field(field(answer, 'Key'), '/')
    const error = field(answer, 'Error')
    yield { key: key === undefined ? null : cidOf(path, key), error: typeof error === 'string' ? error : '' }
  }
}

function parseAnswer(path: string, body: string): unknown {
  try {
    return JSON.parse(body)
  } catch (cause) {
    throw badAnswer(path, `not JSON: ${body.slice(0, 200)}`, cause)
  }
}

function text(path: string, answer: unknown, name: string): string {
  const value = field(answer, name)
  if (typeof value !== 'string') throw badAnswer(path, `an answer without ${name}`)
  return value
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter(item => typeof item === 'string') : []
}

/** Read from the text of the JSON: sizes may be beyond what a double holds exactly (no limit is 2^64 − 1). */
function integer(body: string, name: string): bigint {
  const match = new RegExp(`"${name}"\\s*:\\s*(\\d+)`).exec(body)
  if (match === null) throw badAnswer('repo/stat', `an answer without ${name}`)
  return BigInt(match[1] as string)
}

function cidOf(path: string, value: unknown): CID {
  try {
    return parseCid(String(value))
  } catch (cause) {
    throw badAnswer(path, `not a CID: ${String(value)}`, cause)
  }
}
