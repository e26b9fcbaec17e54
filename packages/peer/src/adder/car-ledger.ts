/**
 * Keeps book of which blocks of an archive belong to the DAG below its root, and which of that DAG have not come, in whatever order they
 * come and in bounded memory: what does not fit waits on the disk.
 */
import { createMemoryStore, type Store, type StoreOp } from '@ipfs-cluster/base'
import { blockKey } from '@ipfs-cluster/ipfs/car'
import { CID } from 'multiformats/cid'
import { badCar } from './errors.ts'

/** Room on the disk: empty when it is opened, gone when it is disposed of. */
export type OpenScratch = () => Promise<Store & AsyncDisposable>

const scratchInMemory: OpenScratch = () =>
  Promise.resolve({ ...createMemoryStore(), [Symbol.asyncDispose]: () => Promise.resolve() })

/** What is remembered in memory, by estimate. Bytes: enough for archives of some 60 GB. */
const LEDGER_MEMORY_BYTES = 16 * 1024 * 1024
/** An entry of a Map with its key. */
const ENTRY_BYTES = 64
/** Links looked up together. */
const LINKS_AT_ONCE = 64
/** Rows written together. */
const ROWS_AT_ONCE = 1_000
/** Blocks that are found to be of the DAG after they have come, and whose links are to be followed. Some 60 bytes each. */
const MAX_PENDING = 1_000_000

/**
 * What is known of a block, as text of one byte a character: `HERE` (it has come, and its links have been followed or it has none), `WANTED`
 * with its CID (the DAG links to it, it has not come), or `PARKED` with its links, each CID behind the other (it has come, and nothing that
 * is known to be of the DAG links to it yet; `QUEUED`: something does, and its links are about to be followed).
 */
const HERE = 'h'
const WANTED = 'w'
const PARKED = 'p'
const QUEUED = 'q'

export interface CarLedger extends AsyncDisposable {
  /** The root, and whatever else is part of the DAG without being a block. */
  want(cids: readonly CID[]): Promise<void>
  /** Notes a block with its links. False when it has come before. @throws AdderError `ADD_BAD_CAR` when there is too much to follow at once. */
  arrived(cid: CID, links: readonly CID[]): Promise<boolean>
  /** Blocks of the DAG that have not come, as far as it is known. */
  readonly missing: number
  /** The first of them, in no certain order. */
  firstMissing(count: number): Promise<readonly CID[]>
}

export interface CarLedgerOptions {
  /** @default in memory */
  readonly openScratch?: OpenScratch | undefined
  readonly memoryBytes?: number | undefined
}

export function createCarLedger({
  openScratch = scratchInMemory,
  memoryBytes = LEDGER_MEMORY_BYTES,
}: CarLedgerOptions = {}): CarLedger {
  const resources = new AsyncDisposableStack()
  /** Goes before the rows on the disk. */
  const fresh = new Map<string, string>()
  let disk: Store | undefined
  let bytes = 0
  let missing = 0

  const set = (key: string, value: string): void => {
    const before = fresh.get(key)
    bytes += before === undefined ? ENTRY_BYTES + value.length : value.length - before.length
    fresh.set(key, value)
  }
  const spill = async (): Promise<void> => {
    disk ??= resources.use(await openScratch())
    let ops: StoreOp[] = []
    for (const [key, value] of fresh) {
      ops.push({ type: 'put', key: bytesOf(key), value: bytesOf(value) })
      if (ops.length < ROWS_AT_ONCE) continue
      await disk.batch(ops)
      ops = []
    }
    await disk.batch(ops)
    fresh.clear()
    bytes = 0
  }
  const valuesOf = async (keys: readonly string[]): Promise<(string | undefined)[]> => {
    const values = keys.map(key => fresh.get(key))
    if (disk === undefined) return values
    const asked = keys.filter((_, i) => values[i] === undefined)
    if (asked.length === 0) return values
    const rows = await disk.getMany(asked.map(bytesOf))
    let next = 0
    return values.map(value => value ?? textOf(rows[next++]))
  }
  /** Notes what links of the DAG lead to. Returns the parked blocks among it. */
  const link = async (links: ReadonlyMap<string, CID>): Promise<string[]> => {
    const keys = [...links.keys()]
    const values = await valuesOf(keys)
    const parked: string[] = []
    for (const [i, key] of keys.entries()) {
      const value = values[i]
      if (value === undefined) {
        missing++
        set(key, WANTED + latin1((links.get(key) as CID).bytes))
      } else if (value.startsWith(PARKED)) {
        set(key, QUEUED + value.slice(1))
        parked.push(key)
      }
    }
    return parked
  }
  const follow = async (links: Iterable<CID>): Promise<string[]> => {
    const parked: string[] = []
    let some = new Map<string, CID>()
    for (const cid of links) {
      some.set(keyOf(cid), cid)
      if (some.size < LINKS_AT_ONCE) continue
      parked.push(...(await link(some)))
      some = new Map()
    }
    if (some.size > 0) parked.push(...(await link(some)))
    return parked
  }
  const followAll = async (links: Iterable<CID>): Promise<void> => {
    const pending = await follow(links)
    for (let key = pending.pop(); key !== undefined; key = pending.pop()) {
      const [value = HERE] = await valuesOf([key])
      set(key, HERE)
      for (const found of await follow(cidsOf(value.slice(1)))) pending.push(found)
      if (pending.length > MAX_PENDING) {
        throw badCar(
          `more than ${MAX_PENDING} blocks come before what links to them: export it in another order`,
        )
      }
      if (bytes > memoryBytes) await spill()
    }
  }

  return {
    get missing() {
      return missing
    },
    want: followAll,
    async arrived(cid, links) {
      const key = keyOf(cid)
      const [value] = await valuesOf([key])
      if (value !== undefined && !value.startsWith(WANTED)) return false
      if (value === undefined) set(key, links.length === 0 ? HERE : PARKED + textOfCids(links))
      else {
        missing--
        set(key, HERE)
        await followAll(links)
      }
      if (bytes > memoryBytes) await spill()
      return true
    },
    async firstMissing(count) {
      const found: CID[] = []
      const add = (value: string) => {
        if (value.startsWith(WANTED)) found.push(...cidsOf(value.slice(1)))
      }
      for (const value of fresh.values()) {
        if (found.length === Math.min(count, missing)) return found
        add(value)
      }
      if (disk === undefined) return found
      for await (const [key, value] of disk.entries()) {
        if (found.length === Math.min(count, missing)) break
        if (!fresh.has(latin1(key))) add(latin1(value))
      }
      return found
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

function keyOf(cid: CID): string {
  return latin1(blockKey(cid))
}

function latin1({ buffer, byteOffset, length }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, length).toString('latin1')
}

function bytesOf(text: string): Uint8Array {
  return Buffer.from(text, 'latin1')
}

function textOf(row: Uint8Array | undefined): string | undefined {
  return row === undefined ? undefined : latin1(row)
}

function textOfCids(cids: readonly CID[]): string {
  return cids.map(({ bytes }) => latin1(bytes)).join('')
}

function* cidsOf(text: string): Generator<CID> {
  for (let rest = bytesOf(text); rest.length > 0;) {
    const [cid, behind] = CID.decodeFirst(rest)
    yield cid
    rest = behind
  }
}
