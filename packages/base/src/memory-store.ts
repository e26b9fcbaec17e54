import { compareBytes, toHex, utf8Text } from './bytes.ts'
import { createMemoryJournal } from './journal.ts'
import { checkValues, type JournaledStore, type StoreRange, type StoreReader, type TextRow } from './store.ts'

type Row = readonly [Uint8Array, Uint8Array]

/** Few, so that tests see several chunks. */
const CHUNK_ROWS = 3

/** A `Store` in memory, for tests and throw-away peers. A scan copies the keys, so keep it small. */
export function createMemoryStore(): JournaledStore {
  // Hex keeps bytewise order and makes keys comparable by value.
  const rows = new Map<string, Row>()
  return {
    ...reader(rows),
    journal: createMemoryJournal(),
    async batch(ops) {
      checkValues(ops)
      for (const op of ops) {
        if (op.type === 'del') rows.delete(toHex(op.key))
        else rows.set(toHex(op.key), [op.key.slice(), op.value.slice()])
      }
    },
    snapshot: () => ({ ...reader(new Map(rows)), [Symbol.dispose]: () => undefined }),
  }
}

function reader(rows: ReadonlyMap<string, Row>): StoreReader {
  return {
    get: key => Promise.resolve(rows.get(toHex(key))?.[1]),
    getMany: keys => Promise.resolve(keys.map(key => rows.get(toHex(key))?.[1])),
    async *entries(range = {}, options = {}) {
      for (const row of select(rows, range)) {
        options.signal?.throwIfAborted()
        yield row
      }
    },
    async *keys(range = {}, options = {}) {
      for (const [key] of select(rows, range)) {
        options.signal?.throwIfAborted()
        yield key
      }
    },
    async *textChunks(range = {}, options = {}) {
      const all = select(rows, range)
      for (let i = 0; i < all.length; i += CHUNK_ROWS) {
        options.signal?.throwIfAborted()
        yield all.slice(i, i + CHUNK_ROWS).map(([key, value]): TextRow => [utf8Text(key), value])
      }
    },
  }
}

function select(rows: ReadonlyMap<string, Row>, range: StoreRange): Row[] {
  const inside = [...rows.values()].filter(
    ([key]) =>
      (range.gt === undefined || compareBytes(key, range.gt) > 0) &&
      (range.gte === undefined || compareBytes(key, range.gte) >= 0) &&
      (range.lt === undefined || compareBytes(key, range.lt) < 0) &&
      (range.lte === undefined || compareBytes(key, range.lte) <= 0),
  )
  inside.sort((a, b) => compareBytes(a[0], b[0]))
  if (range.reverse === true) inside.reverse()
  return range.limit === undefined ? inside : inside.slice(0, range.limit)
}
