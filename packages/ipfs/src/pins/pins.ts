import type { AbortOptions } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { BlockStore } from '../blocks/block-store.ts'
import { IpfsNodeError } from '../errors.ts'
import type { FetchSession, Reader } from '../reader.ts'
import { isKnownLeaf, linksOf, statedSize } from '../links.ts'
import type { IpfsNode, PinProgress } from '../types.ts'
import type { Pin, PinTable } from './pin-table.ts'
import { walkDag } from './walk.ts'

/** Blocks of one pin fetched at the same time. */
const FETCHES_PER_PIN = 64
/** How long a pin waits for one block that nobody delivers, before it fails. */
const PIN_BLOCK_TIMEOUT_MS = 10 * 60_000

export type PinAddOptions = Parameters<IpfsNode['pins']['add']>[1]

/** A pin under way. */
export interface RunningPin {
  readonly cid: CID
  readonly pin: Pin
}

export type Pins = IpfsNode['pins'] & {
  /** Garbage collection keeps what of these DAGs is already here. */
  running(): Iterable<RunningPin>
}

export interface PinsComponents {
  readonly blocks: BlockStore
  readonly reader: Reader
  readonly table: PinTable
}

export function createPins({ blocks, reader, table }: PinsComponents): Pins {
  const underWay = new Set<RunningPin>()

  const fetchAll = async (cid: CID, pin: Pin, options: NonNullable<PinAddOptions>): Promise<void> => {
    const running = { cid, pin }
    underWay.add(running)
    try {
      const { providers = [], signal, onProgress } = options
      using session = reader.session({ providers, signal, timeoutMs: PIN_BLOCK_TIMEOUT_MS })
      const maxDepth = pin.kind === 'direct' ? 0 : pin.maxDepth
      let progress: PinProgress = { blocks: 0, bytes: 0, fetchedBlocks: 0 }
      await walkDag(
        cid,
        async (block, { first, last }, stop) => {
          const { data, size, fetched } = await bring(blocks, session, block, { signal: stop })
          if (first) {
            progress = advance(progress, { size, fetched })
            const total = data === undefined ? size : statedSize(block, data)
            if (maxDepth === undefined && block === cid && total !== undefined) {
              progress = { ...progress, totalBytes: total }
            }
            onProgress?.(progress)
          }
          // At the last level, nobody cares whether the links can be known.
          return last || data === undefined ? [] : linksOf(block, data)
        },
        { concurrency: FETCHES_PER_PIN, maxDepth, signal },
      )
    } finally {
      underWay.delete(running)
    }
  }

  const add = async (cid: CID, options: NonNullable<PinAddOptions>): Promise<void> => {
    const pin = wanted(options)
    const before = await table.get(cid)
    if (before !== undefined && covers(before, pin)) return await rename(cid, before, options.name)
    // Held until the row is durable: a collection in between must not take what was found here.
    using _held = blocks.protection.hold()
    if (pin.kind === 'direct' && (await table.get(cid))?.kind === 'recursive') throw pinnedRecursively(cid)
    await fetchAll(cid, pin, options)
    const present = await table.get(cid)
    if (pin.kind === 'direct' && present?.kind === 'recursive') throw pinnedRecursively(cid)
    if (present !== undefined && covers(present, pin)) return await rename(cid, present, options.name)
    await table.change([[cid, named(pin, options.name ?? present?.name)]])
  }

  const rename = async (cid: CID, present: Pin, name: string | undefined): Promise<void> => {
    if (name === undefined || name === (present.name ?? '')) return
    await table.change([[cid, named(present, name)]])
  }

  return {
    running: () => underWay,
    add: (cid, options = {}) => add(cid, options),
    async rm(cid) {
      if ((await table.get(cid)) === undefined) throw notPinned(cid)
      await table.change([], [cid])
    },
    async update(from, to, { unpin = true, ...options } = {}) {
      const old = await table.get(from)
      if (old?.kind !== 'recursive') throw notPinned(from)
      await add(to, old.name === undefined ? options : { ...options, name: old.name })
      if (unpin && !from.equals(to)) await table.change([], [from])
    },
    kind: async cid => (await table.get(cid))?.kind,
    async *ls(options) {
      for await (const [cid, { kind, name }] of table.entries(options)) {
        yield { cid, kind, ...(name === undefined ? {} : { name }) }
      }
    },
  }
}

interface Visited {
  readonly size: number
  readonly fetched: boolean
  /** Absent when the block is known to have no links, and needs not be read. */
  readonly data?: Uint8Array
}

/** Makes sure that a block is here, protected from the garbage collector. */
async function bring(
  blocks: BlockStore,
  session: FetchSession,
  cid: CID,
  options: AbortOptions,
): Promise<Visited> {
  options.signal?.throwIfAborted()
  blocks.protection.touch(cid.multihash.bytes)
  const info = await blocks.info(cid)
  if (info !== undefined && isKnownLeaf(cid, info)) return { size: info.size, fetched: false }
  const data = info === undefined ? await session.fetch(cid, options) : await session.get(cid, options)
  return { size: data.length, fetched: info === undefined, data }
}

function advance(progress: PinProgress, { size, fetched }: Visited): PinProgress {
  return {
    ...progress,
    blocks: progress.blocks + 1,
    bytes: progress.bytes + size,
    fetchedBlocks: progress.fetchedBlocks + (fetched ? 1 : 0),
  }
}

function wanted({ kind = 'recursive', maxDepth }: NonNullable<PinAddOptions>): Pin {
  if (maxDepth !== undefined && (!Number.isInteger(maxDepth) || maxDepth < 0)) {
    throw new IpfsNodeError(`maxDepth must be a whole number, 0 or more, not ${maxDepth}`, {
      code: 'IPFS_BAD_OPTION',
      option: 'maxDepth',
    })
  }
  return kind === 'direct' || maxDepth === undefined ? { kind } : { kind, maxDepth }
}

function named({ kind, maxDepth }: Pin, name = ''): Pin {
  return { kind, ...(maxDepth === undefined ? {} : { maxDepth }), ...(name === '' ? {} : { name }) }
}

/** Does the pin there is do what the new one would? */
function covers(present: Pin | undefined, pin: Pin): boolean {
  if (present?.kind !== pin.kind) return false
  return present.maxDepth === undefined || (pin.maxDepth !== undefined && present.maxDepth >= pin.maxDepth)
}

function notPinned(cid: CID): IpfsNodeError {
  return new IpfsNodeError(`${cid} is not pinned`, { code: 'IPFS_NOT_PINNED', cid: cid.toString() })
}

function pinnedRecursively(cid: CID): IpfsNodeError {
  return new IpfsNodeError(`${cid} is pinned recursively already; unpin it first to pin it directly`, {
    code: 'IPFS_PINNED_RECURSIVELY',
    cid: cid.toString(),
  })
}
