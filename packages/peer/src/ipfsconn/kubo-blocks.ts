/**
 * Blocks into Kubo: `block/put` takes one codec and one hash for all parts of a request, so a stream of mixed blocks goes through
 * open requests (lanes) of each kind, side by side and each under back-pressure. Kubo stores the parts of a request one after the
 * other; a kind of which more comes than one lane takes gets a second (measured with two processors: 1.3 to 1.8 times the speed).
 */
import type { NodeWithMeta } from '@ipfs-cluster/api'
import {
  anySignal,
  Channel,
  concatBytes,
  createStallGuard,
  lengthOf,
  piecesOf,
  raceSignal,
  utf8,
  type AbortOptions,
  type Clock,
  type Random,
} from '@ipfs-cluster/base'
import { CID } from 'multiformats/cid'
import { blockPrefix, type BlockPrefix } from './block-prefix.ts'
import { badAnswer, timedOut } from './errors.ts'
import type { KuboClient } from './kubo-client.ts'
import type { BodyWriter } from './kubo-request.ts'
import type { BlockStreamOptions } from './types.ts'

/** Kinds of blocks with open requests in one stream; those opened first end when yet another kind comes. */
const MAX_KINDS = 8
const LANES_PER_KIND = 2
/** Blocks waiting for their turn in one lane. */
const LANE_QUEUE_BLOCKS = 8
/** Parts up to this many bytes are copied into one write, since small writes cost more than the copy. */
const SMALL_PART_BYTES = 32 * 1024
/** Random bytes of a multipart boundary: nobody may craft a block that contains it. */
const BOUNDARY_BYTES = 16
const PART_END = utf8('\r\n')

interface Lane {
  readonly queue: Channel<NodeWithMeta>
  readonly done: Promise<void>
}

export interface BlockPutComponents {
  readonly client: KuboClient
  readonly clock: Clock
  readonly random: Random
}

/**
 * Resolves when the daemon has confirmed every block. Fails as soon as one request does, and stops reading `blocks`.
 *
 * @param stallMs the daemon may take this long to accept or confirm something; waiting for `blocks` does not count.
 */
export async function putBlocks(
  components: BlockPutComponents,
  stallMs: number,
  blocks: AsyncIterable<NodeWithMeta>,
  options: AbortOptions & Pick<BlockStreamOptions, 'owned'>,
): Promise<void> {
  const cancel = new AbortController()
  const signal = anySignal(cancel.signal, options.signal) ?? cancel.signal
  const kinds = new Map<string, Lane[]>()
  const open = (prefix: BlockPrefix): Lane => {
    const queue = new Channel<NodeWithMeta>(LANE_QUEUE_BLOCKS)
    const done = putAlike(components, stallMs, {
      prefix,
      blocks: queue,
      signal,
      owned: options.owned === true,
    })
    done.catch((error: unknown) => cancel.abort(error))
    return { queue, done }
  }
  const lanesOf = async (prefix: BlockPrefix): Promise<Lane[]> => {
    const key = `${prefix.codec} ${prefix.hash} ${prefix.length}`
    const existing = kinds.get(key)
    if (existing !== undefined) return existing
    if (kinds.size >= MAX_KINDS) await endFirst(kinds)
    const lanes: Lane[] = []
    kinds.set(key, lanes)
    return lanes
  }
  const source = blocks[Symbol.asyncIterator]()
  try {
    while (true) {
      const { done, value: block } = await raceSignal(source.next(), signal)
      if (done === true) break
      const prefix = prefixOf(block.cid)
      const lanes = await lanesOf(prefix)
      if (lanes.some(({ queue }) => queue.tryPush(block))) continue
      const lane = lanes.length < LANES_PER_KIND ? open(prefix) : emptiest(lanes)
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

function prefixOf(cid: CID): BlockPrefix {
  const prefix = blockPrefix(cid)
  if (prefix !== undefined) return prefix
  throw badAnswer('block/put', `Kubo has no name for the hash 0x${cid.multihash.code.toString(16)} of ${cid}`)
}

interface Run {
  readonly prefix: BlockPrefix
  readonly blocks: AsyncIterable<NodeWithMeta>
  readonly signal: AbortSignal
  readonly owned: boolean
}

async function putAlike(
  { client, clock, random }: BlockPutComponents,
  stallMs: number,
  run: Run,
): Promise<void> {
  const boundary = `ipfs-cluster-${random.bytes(BOUNDARY_BYTES).toHex()}`
  const { codec, hash, length } = run.prefix
  const path = `block/put?allow-big-block=true&cid-codec=${codec}&mhlen=${length}&mhtype=${hash}&pin=false`
  const unconfirmed = createTally()
  let waiting = 0
  using guard = createStallGuard(clock, stallMs, () => waiting > 0)
  const owed = { enter: () => waiting++ === 0 && guard.progress(), leave: () => waiting-- }
  const body = async (writer: BodyWriter) => {
    const write = async (data: Uint8Array, onSent?: () => void) => {
      owed.enter()
      await writer.write(data, onSent)
      owed.leave()
      guard.progress()
    }
    for await (const block of run.blocks) {
      unconfirmed.add(block.cid)
      const parts = partOf(boundary, block)
      const onSent = run.owned ? () => block.giveBack?.() : undefined
      for (const [i, data] of parts.entries()) await write(data, i === parts.length - 1 ? onSent : undefined)
    }
    await write(utf8(`--${boundary}--\r\n`))
    owed.enter()
  }
  try {
    const answers = client.lines(path, {
      signal: AbortSignal.any([run.signal, guard.signal]),
      headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
      body,
    })
    for await (const answer of answers) {
      guard.progress()
      const cid = keyOf(path, answer)
      if (!unconfirmed.take(cid)) throw badAnswer(path, `stored ${cid}, which is none of the blocks sent`)
    }
  } catch (error) {
    throw guard.signal.aborted && !run.signal.aborted ? timedOut(path, stallMs, 'no block stored') : error
  }
  if (unconfirmed.size > 0) throw badAnswer(path, `${unconfirmed.size} of the blocks sent were not confirmed`)
}

/** One part of the form, in as many writes as are worth it. */
function partOf(boundary: string, block: NodeWithMeta): Uint8Array[] {
  const head = utf8(
    `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${block.cid}"\r\n` +
      'Content-Type: application/octet-stream\r\n\r\n',
  )
  const writes = [head, ...piecesOf(block), PART_END]
  return lengthOf(block) <= SMALL_PART_BYTES ? [concatBytes(writes)] : writes
}

function keyOf(path: string, answer: unknown): CID {
  if (typeof answer === 'object' && answer !== null && 'Key' in answer && typeof answer.Key === 'string') {
    try {
      return CID.parse(answer.Key)
    } catch (cause) {
      throw badAnswer(path, `not a CID: ${answer.Key}`, cause)
    }
  }
  throw badAnswer(path, 'an answer without Key')
}

/** How often each multihash is still outstanding: the codec of the answer may differ (CIDv0), the hash may not. */
function createTally() {
  const counts = new Map<string, number>()
  const keyOf = (cid: CID) => cid.multihash.bytes.toHex()
  return {
    get size() {
      return counts.size
    },
    add(cid: CID) {
      const key = keyOf(cid)
      counts.set(key, (counts.get(key) ?? 0) + 1)
    },
    take(cid: CID): boolean {
      const key = keyOf(cid)
      const count = counts.get(key)
      if (count === undefined) return false
      if (count === 1) counts.delete(key)
      else counts.set(key, count - 1)
      return true
    },
  }
}
