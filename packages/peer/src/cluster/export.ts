/** What a pin keeps as a CAR: from the daemon here, from a peer that keeps it, or from wherever the daemon finds it (decision 0021). */
import { isRemotePin, isPinEverywhere, type PeerId, type Pin, type PinMode } from '@ipfs-cluster/api'
import {
  anySignal,
  CodedError,
  errorCode,
  errorMessage,
  type AbortOptions,
  type Clock,
  type Logger,
} from '@ipfs-cluster/base'
import type { Block } from '@ipfs-cluster/ipfs'
import { writeCar } from '@ipfs-cluster/ipfs/car'
import type { CID } from 'multiformats/cid'
import {
  createCarLedger,
  linksBeyond,
  matchesCid,
  withoutIdentities,
  type OpenScratch,
} from '../adder/index.ts'
import type { IpfsConnector } from '../ipfsconn/index.ts'
import { RPC, type DagRequest, type Network } from '../net/index.ts'

/** A peer that keeps a pin has to give its first block within this, or the next is asked. Milliseconds. */
const PEER_FIRST_BLOCK_MS = 15_000
/** The same for the daemon here, when it has to look for it. */
const NETWORK_FIRST_BLOCK_MS = 60_000
/** Missing blocks that are named. */
const NAMED_MISSING = 3

export type ExportFailure =
  /** Nobody gave the content, or not all of it. */
  | { readonly code: 'EXPORT_INCOMPLETE'; readonly cid: string }
  | { readonly code: 'EXPORT_BAD_BLOCK'; readonly cid: string }

export class ExportError extends CodedError<ExportFailure> {
  override readonly name = 'ExportError'
}

export interface ExportComponents {
  readonly network: Pick<Network, 'peerId' | 'rpc'>
  readonly ipfs: Pick<IpfsConnector, 'dagBlocks' | 'pinLsCid'>
  /** @throws ClusterError `PIN_NOT_FOUND` */
  readonly pinGet: (cid: CID) => Promise<Pin>
  readonly members: () => readonly PeerId[]
  readonly openScratch: OpenScratch
  readonly clock: Clock
  readonly logger: Logger
}

export interface ExportedCar {
  readonly pin: Pin
  /**
   * A CARv1: depth first in the order of links, each block once and verified. Nothing happens before it is read. Ends well only when it is
   * complete.
   *
   * @throws ExportError, or what the daemon or the peer failed with.
   */
  readonly car: AsyncGenerator<Uint8Array>
}

/** Makes `exportCar` of a cluster. */
export function createExporter(
  components: ExportComponents,
): (cid: CID, options?: AbortOptions) => Promise<ExportedCar> {
  const { pinGet, openScratch } = components
  return async (cid, { signal } = {}) => {
    const pin = await pinGet(cid)
    const maxDepth = keptDepth(pin)
    const stop = new AbortController()
    const either = anySignal(signal, stop.signal) ?? stop.signal
    const blocks = verified(blocksOf(components, pin, maxDepth, either))
    const checked = maxDepth === undefined ? complete(cid, blocks, openScratch) : blocks
    return { pin, car: ending(writeCar(cid, checked), stop) }
  }
}

/** Whoever leaves ends what is under way, even while a block is waited for. */
async function* ending(car: AsyncGenerator<Uint8Array>, stop: AbortController): AsyncGenerator<Uint8Array> {
  try {
    yield* car
  } finally {
    stop.abort(new DOMException('the export is over', 'AbortError'))
  }
}

/** Links from the root that the pin keeps; `undefined`: all. The root of sharded content stands for all of its DAG. */
function keptDepth({ type, maxDepth }: Pin): number | undefined {
  return type === 'meta-pin' || maxDepth < 0 ? undefined : maxDepth
}

/** From the first source that gives a block. */
async function* blocksOf(
  components: ExportComponents,
  pin: Pin,
  maxDepth: number | undefined,
  signal: AbortSignal,
): AsyncGenerator<Block> {
  const { logger } = components
  const failures: unknown[] = []
  for (const { name, open } of sourcesOf(components, pin, maxDepth)) {
    const iterator = open(signal)[Symbol.asyncIterator]()
    let given = false
    try {
      for (let step = await iterator.next(); step.done !== true; step = await iterator.next()) {
        given = true
        yield step.value
      }
      if (given) return
    } catch (error) {
      signal.throwIfAborted()
      // What has been sent cannot be taken back, and another source may have another order.
      if (given) throw error
      failures.push(error)
      logger.debug(
        { cid: pin.cid.toString(), source: name, error: errorMessage(error) },
        'no export from there',
      )
    } finally {
      await iterator.return?.()
    }
  }
  throw new ExportError(
    `cannot read ${pin.cid}: ${errorMessage(failures.at(-1) ?? 'it has no blocks')}`,
    { code: 'EXPORT_INCOMPLETE', cid: pin.cid.toString() },
    { cause: new AggregateError(failures) },
  )
}

interface Source {
  readonly name: string
  readonly open: (signal: AbortSignal) => AsyncIterable<Block>
}

function* sourcesOf(
  { network, ipfs, members, clock }: ExportComponents,
  pin: Pin,
  maxDepth: number | undefined,
): Generator<Source> {
  const { cid } = pin
  const request = { root: cid, maxDepth: maxDepth ?? -1 }
  // The blocks of sharded content are spread over peers: no one has them all.
  if (pin.type !== 'meta-pin') {
    if (!isRemotePin(pin, network.peerId)) {
      yield { name: 'here', open: signal => pinnedDag(ipfs, request, { signal }) }
    }
    const keepers = isPinEverywhere(pin) ? members() : pin.allocations
    for (const peer of keepers) {
      if (peer === network.peerId) continue
      const ask = (signal: AbortSignal) =>
        network.rpc.stream(peer, RPC.IPFSConnector.DagBlocks, [request], { signal })
      yield { name: peer, open: signal => promptly(clock, PEER_FIRST_BLOCK_MS, signal, ask) }
    }
  }
  const fetch = (signal: AbortSignal) => ipfs.dagBlocks(cid, { maxDepth, signal })
  yield { name: 'network', open: signal => promptly(clock, NETWORK_FIRST_BLOCK_MS, signal, fetch) }
}

/** The blocks of a pin that the daemon has; refused when it does not. */
async function* pinnedDag(
  ipfs: Pick<IpfsConnector, 'dagBlocks' | 'pinLsCid'>,
  { root, maxDepth }: DagRequest,
  options: AbortOptions,
): AsyncGenerator<Block> {
  const mode: PinMode = maxDepth === 0 ? 'direct' : 'recursive'
  const status = await ipfs.pinLsCid(root, mode, options)
  if (status !== mode) {
    throw new ExportError(`${root} is not pinned on this peer (yet)`, {
      code: 'EXPORT_INCOMPLETE',
      cid: root.toString(),
    })
  }
  yield* ipfs.dagBlocks(root, { ...options, maxDepth: maxDepth < 0 ? undefined : maxDepth })
}

/** Answers a peer that exports what this one keeps. */
export async function* servePinnedDag(
  ipfs: Pick<IpfsConnector, 'dagBlocks' | 'pinLsCid'>,
  requests: AsyncIterable<DagRequest>,
  options: AbortOptions,
): AsyncGenerator<Block> {
  for await (const request of requests) return yield* pinnedDag(ipfs, request, options)
}

/** Fails when the first item does not come in time. */
async function* promptly(
  clock: Clock,
  limitMs: number,
  signal: AbortSignal,
  open: (signal: AbortSignal) => AsyncIterable<Block>,
): AsyncGenerator<Block> {
  const late = new AbortController()
  const came = new AbortController()
  const limit = clock.sleep(limitMs, { signal: came.signal }).then(
    () => late.abort(new DOMException(`no block within ${limitMs / 1000} s`, 'TimeoutError')),
    // It came, or nobody waits any more.
    () => undefined,
  )
  try {
    for await (const item of open(AbortSignal.any([signal, late.signal]))) {
      came.abort()
      yield item
    }
  } finally {
    came.abort()
    await limit
  }
}

/** A block that is not what its CID says never leaves. One whose hash function nobody here knows does. */
async function* verified(blocks: AsyncIterable<Block>): AsyncGenerator<Block> {
  for await (const block of blocks) {
    if (matchesCid(block) === false) {
      throw new ExportError(`the data of block ${block.cid} is not what its CID says`, {
        code: 'EXPORT_BAD_BLOCK',
        cid: block.cid.toString(),
      })
    }
    yield block
  }
}

/** Fails at the end unless all of the DAG came: a peer that stops early, or leaves blocks out, must not make half an archive look whole. */
async function* complete(
  root: CID,
  blocks: AsyncIterable<Block>,
  openScratch: OpenScratch,
): AsyncGenerator<Block> {
  await using ledger = createCarLedger({ openScratch })
  await ledger.want(withoutIdentities([root]))
  for await (const block of blocks) {
    if (await ledger.arrived(block.cid, linksIn(block))) yield block
  }
  if (ledger.missing === 0) return
  const named = await ledger.firstMissing(NAMED_MISSING)
  throw new ExportError(`${ledger.missing} blocks are missing: ${named.join(', ')}…`, {
    code: 'EXPORT_INCOMPLETE',
    cid: root.toString(),
  })
}

function linksIn({ cid, data }: Block): readonly CID[] {
  try {
    return linksBeyond(cid, data)
  } catch (error) {
    // A daemon may know more formats than we do.
    if (errorCode(error) === 'IPFS_UNKNOWN_CODEC') return []
    throw error
  }
}
