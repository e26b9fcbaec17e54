import type { NodeWithMeta } from '@ipfs-cluster/api'
import { equalBytes, errorCode, errorMessage, lengthOf, piecesOf, withPieces } from '@ipfs-cluster/base'
import { CarError, hasNoLinks, readCar, type Block } from '@ipfs-cluster/ipfs/car'
import { decode as decodeDagPb } from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import type { CID } from 'multiformats/cid'
import { isIdentity, linksBeyond, matchesCid, withoutIdentities } from './car-block.ts'
import { createCarLedger, type CarLedgerOptions } from './car-ledger.ts'
import { badCar, incompleteCar } from './errors.ts'
import { DAG_PB, RAW } from './hashing.ts'
import type { AddPart } from './types.ts'

/** Missing blocks that are named. */
const NAMED_MISSING = 10

export interface CarImportOptions extends CarLedgerOptions {
  /** Blocks that are not in it make it fail. */
  readonly requireComplete: boolean
  /** The blocks are only stored, and may be part of a DAG whose root is elsewhere. */
  readonly withoutRoot: boolean
}

export interface ImportedCar {
  readonly root: CID
  /** Of all blocks. */
  readonly bytes: bigint
  /** Of the file that the root is, when it is a UnixFS file; else 0. */
  readonly size: bigint
  /** Bytes of the DAG below the root, as the root states them; absent when it does not say. */
  readonly dagSize?: bigint
  /** Blocks of the DAG that are not in the CAR. */
  readonly missing: number
  /** The first of them. */
  readonly missingCids: readonly CID[]
}

/**
 * Hands on the blocks of a CAR with one root, each verified and once. Blocks that are not of the DAG below the root are handed on, too.
 *
 * @throws AdderError `ADD_BAD_CAR`, `ADD_INCOMPLETE_CAR`; texts as in Go where it has any.
 */
export async function importCar(
  part: AddPart,
  put: (block: NodeWithMeta) => Promise<void>,
  options: CarImportOptions,
): Promise<ImportedCar> {
  if (part.kind !== 'file') throw badCar('expected CAR file is not of type file')
  try {
    return await importBlocks(part.content, put, options)
  } catch (error) {
    throw error instanceof CarError ? badCar(error.message, error) : error
  }
}

async function importBlocks(
  content: AsyncIterable<Uint8Array>,
  put: (block: NodeWithMeta) => Promise<void>,
  options: CarImportOptions,
): Promise<ImportedCar> {
  const { roots, blocks } = await readCar(content)
  const root = onlyRoot(roots)
  await using ledger = createCarLedger(options)
  await ledger.want(decoding(root, () => withoutIdentities([root])))
  let stored = 0
  let bytes = 0n
  let size = 0n
  let dagSize: bigint | undefined
  let hasRoot = isIdentity(root)
  for await (const block of blocks) {
    const { cid } = block
    const length = lengthOf(block)
    verify(block)
    bytes += BigInt(length)
    const { links, linked, fileSize } = decoding(cid, () => inspect(block, length))
    if (isIdentity(cid) || !(await ledger.arrived(cid, links))) continue
    const cumulativeSize = BigInt(length + linked)
    if (isSameBlock(cid, root)) {
      hasRoot = true
      size = BigInt(fileSize())
      if (root.code === RAW || root.code === DAG_PB) dagSize = cumulativeSize
    }
    await put(withPieces({ cid, cumulativeSize }, piecesOf(block)))
    stored++
  }
  if (stored === 0) throw badCar('the CAR has no blocks')
  if (!hasRoot && !options.withoutRoot) {
    throw badCar(
      `the root ${root} is not in the CAR; with no-pin=true its blocks are stored without being pinned`,
    )
  }
  const missingCids = await ledger.firstMissing(NAMED_MISSING)
  if (ledger.missing > 0 && options.requireComplete) throw incompleteCar(ledger.missing, missingCids)
  const { missing } = ledger
  return { root, bytes, size, ...(dagSize === undefined ? {} : { dagSize }), missing, missingCids }
}

function onlyRoot(roots: readonly CID[]): CID {
  const [root] = roots
  if (root === undefined) throw badCar('empty car, no roots')
  if (roots.length > 1) throw badCar('only CAR files with a single root are supported')
  return root
}

function verify(block: Block): void {
  const { cid } = block
  const matches = matchesCid(block)
  if (matches === undefined) throw badCar(`cannot verify the block ${cid}: unknown hash function`)
  if (!matches)
    throw badCar(`mismatch in content integrity: the data of block ${cid} is not what its CID says`)
}

interface Inspected {
  /** Without those that hold their block themselves, whose own links are here instead. */
  readonly links: readonly CID[]
  /** Bytes below the block, as it states them. */
  readonly linked: number
  readonly fileSize: () => number | bigint
}

function inspect(block: Block, length: number): Inspected {
  const { cid } = block
  if (cid.code === RAW) return { links: [], linked: 0, fileSize: () => length }
  if (cid.code !== DAG_PB) {
    return { links: linksBeyond(cid, block.data), linked: 0, fileSize: () => 0 }
  }
  // Most blocks are leaves, which need not be joined.
  if (hasNoLinks(block))
    return { links: [], linked: 0, fileSize: () => unixfsSize(decodeDagPb(block.data).Data) }
  const { Links, Data } = decodeDagPb(block.data)
  // What nobody checks may be any number.
  const linked = Math.min(
    Links.reduce((sum, { Tsize = 0 }) => sum + Tsize, 0),
    Number.MAX_SAFE_INTEGER - length,
  )
  return { links: withoutIdentities(Links.map(({ Hash }) => Hash)), linked, fileSize: () => unixfsSize(Data) }
}

/** A block that is malformed must not be pinned, nor one whose links nobody can tell. */
function decoding<T>(cid: CID, work: () => T): T {
  try {
    return work()
  } catch (cause) {
    if (errorCode(cause) === 'IPFS_UNKNOWN_CODEC') {
      const codec = `${cid.code} (0x${cid.code.toString(16)})`
      throw badCar(`no decoder registered for multicodec code ${codec} of block ${cid}`, cause)
    }
    throw badCar(`the block ${cid} is malformed: ${errorMessage(cause)}`, cause)
  }
}

/** Whatever the version of their CIDs. */
function isSameBlock(a: CID, b: CID): boolean {
  return a.code === b.code && equalBytes(a.multihash.bytes, b.multihash.bytes)
}

function unixfsSize(data: Uint8Array | undefined): bigint {
  if (data === undefined) return 0n
  try {
    return UnixFS.unmarshal(data).fileSize()
  } catch {
    // dag-pb that is not UnixFS is fine: it has no file size.
    return 0n
  }
}
