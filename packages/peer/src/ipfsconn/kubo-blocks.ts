/**
 * Blocks into Kubo. Nearly all of them go through one `dag/import` of a stream, for which peer and daemon together need three quarters of the CPU
 * that `block/put` takes (docs/decisions/0019-speed-of-adding.md). What Kubo would not import goes through `block/put`, which takes one codec and one
 * hash for all parts of a request: a stream of mixed blocks has open requests (lanes) of each kind, side by side and each under
 * back-pressure. Kubo stores the parts of such a request one after the other; a kind of which more comes than one lane takes gets a second.
 */
import type { NodeWithMeta } from '@ipfs-cluster/api'
import { anySignal, Channel, lengthOf, raceSignal, type AbortOptions } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { blockPrefix } from './block-prefix.ts'
import { badAnswer, isRequestFailure } from './errors.ts'
import { importForm, putForm, type BlockForm } from './kubo-block-forms.ts'
import { sendBlocks, type BlockRequestComponents } from './kubo-block-request.ts'
import type { BlockStreamOptions } from './types.ts'

/** Kinds of blocks with open requests in one stream; those opened first end when yet another kind comes. */
const MAX_KINDS = 8
const LANES_PER_PUT = 2
/** Blocks waiting for their turn in one lane. */
const LANE_QUEUE_BLOCKS = 8

const RAW = 0x55
const DAG_PB = 0x70
const SHA2_256 = 0x12
/** Kubo reads no CAR with larger ones unless told to, and with more than 8 MiB none at all. */
const IMPORTED_BLOCK_BYTES = 2 * 1024 * 1024

/** Blocks that one request can take. */
interface Kind {
  readonly key: string
  readonly lanes: number
  readonly form: (boundary: string) => BlockForm
}

interface Lane {
  readonly queue: Channel<NodeWithMeta>
  readonly done: Promise<void>
}

const IMPORTED: Kind = { key: 'car', lanes: 1, form: importForm }

export interface BlockPuts {
  /**
   * Resolves when the daemon has confirmed every block. Fails as soon as one request does, and stops reading `blocks`.
   *
   * @throws IpfsError
   */
  put(
    blocks: AsyncIterable<NodeWithMeta>,
    options: AbortOptions & Pick<BlockStreamOptions, 'owned'>,
  ): Promise<void>
}

/** @param stallMs the daemon may take this long to accept or confirm something; waiting for blocks does not count. */
export function createBlockPuts(components: BlockRequestComponents, stallMs: number): BlockPuts {
  let tookCar = false

  /** Whether the daemon takes an empty CAR: neither an old one does nor one that allows the cluster no more than what Go's peers use. */
  const takesCars = async (signal: AbortSignal) => {
    if (tookCar) return true
    try {
      await sendBlocks(components, noBlocks(), { form: importForm, stallMs, signal })
      tookCar = true
    } catch (error) {
      if (!isRequestFailure(error)) throw error
    }
    return tookCar
  }

  return {
    async put(blocks, options) {
      let imports: Promise<boolean> | undefined
      const kindOf: KindOf = async (block, signal) => {
        const isImported = isImportable(block) && (await (imports ??= takesCars(signal)))
        return isImported ? IMPORTED : putKind(block.cid)
      }
      try {
        await putBlocks({ components, stallMs, kindOf }, blocks, options)
      } catch (error) {
        // Another daemon may be there now.
        tookCar = false
        throw error
      }
    },
  }
}

async function* noBlocks(): AsyncGenerator<never> {}

/** Kubo decodes what it imports, and not every codec and hash is known to it; these are, and nearly everything is made of them. */
function isImportable(block: NodeWithMeta): boolean {
  const { code, multihash } = block.cid
  const isCommon = (code === RAW || code === DAG_PB) && multihash.code === SHA2_256
  return isCommon && lengthOf(block) <= IMPORTED_BLOCK_BYTES
}

function putKind(cid: CID): Kind {
  const prefix = blockPrefix(cid)
  if (prefix === undefined) {
    throw badAnswer(
      'block/put',
      `Kubo has no name for the hash 0x${cid.multihash.code.toString(16)} of ${cid}`,
    )
  }
  return {
    key: `${prefix.codec} ${prefix.hash} ${prefix.length}`,
    lanes: LANES_PER_PUT,
    form: boundary => putForm(prefix, boundary),
  }
}

type KindOf = (block: NodeWithMeta, signal: AbortSignal) => Promise<Kind>

interface Sending {
  readonly components: BlockRequestComponents
  readonly stallMs: number
  readonly kindOf: KindOf
}

async function putBlocks(
  { components, stallMs, kindOf }: Sending,
  blocks: AsyncIterable<NodeWithMeta>,
  options: Parameters<BlockPuts['put']>[1],
): Promise<void> {
  const cancel = new AbortController()
  const signal = anySignal(cancel.signal, options.signal) ?? cancel.signal
  const { owned = false } = options
  const kinds = new Map<string, Lane[]>()
  const open = ({ form }: Kind): Lane => {
    const queue = new Channel<NodeWithMeta>(LANE_QUEUE_BLOCKS)
    const done = sendBlocks(components, queue, { form, stallMs, signal, owned })
    done.catch((error: unknown) => cancel.abort(error))
    return { queue, done }
  }
  const lanesOf = async (kind: Kind): Promise<Lane[]> => {
    const existing = kinds.get(kind.key)
    if (existing !== undefined) return existing
    if (kinds.size >= MAX_KINDS) await endFirst(kinds)
    const lanes: Lane[] = []
    kinds.set(kind.key, lanes)
    return lanes
  }
  const source = blocks[Symbol.asyncIterator]()
  try {
    while (true) {
      const { done, value: block } = await raceSignal(source.next(), signal)
      if (done === true) break
      const kind = await kindOf(block, signal)
      const lanes = await lanesOf(kind)
      if (lanes.some(({ queue }) => queue.tryPush(block))) continue
      const lane = lanes.length < kind.lanes ? open(kind) : emptiest(lanes)
      if (!lanes.includes(lane)) lanes.push(lane)
      // False means that the lane has failed; its failure is found below.
      if (!(await lane.queue.push(block, { signal }))) break
    }
    await endAll([...kinds.values()].flat())
  } catch (error) {
    cancel.abort(error)
    // Not awaited: the source may be waiting for something that never comes; it ends by its own means.
    source.return?.()?.catch(() => undefined)
    throw error
  } finally {
    await endAll([...kinds.values()].flat()).catch(() => undefined)
  }
}

function emptiest(lanes: readonly Lane[]): Lane {
  return lanes.reduce((best, lane) => (lane.queue.size < best.queue.size ? lane : best))
}

async function endFirst(kinds: Map<string, Lane[]>): Promise<void> {
  for (const [key, lanes] of kinds) {
    await endAll(lanes)
    kinds.delete(key)
    return
  }
}

/** Resolves when all have confirmed their blocks; waits for all even when one fails. */
async function endAll(lanes: readonly Lane[]): Promise<void> {
  for (const { queue } of lanes) queue.end()
  const results = await Promise.allSettled(lanes.map(({ done }) => done))
  for (const result of results) if (result.status === 'rejected') throw result.reason
}
