import assert from 'node:assert/strict'
import { cp, mkdtemp, readdir, rm, stat, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { utf8 } from './bytes.ts'
import { openLevelStore, type LevelStore } from './level-store.ts'
import { STEP_BYTES } from './log-ahead.ts'

let folder: string
before(async () => void (folder = await mkdtemp(join(tmpdir(), 'ahead-'))))
after(() => rm(folder, { recursive: true }))

const VALUE = new Uint8Array(1024).fill(7)
/** Of a row in the log, about. */
const ROW_BYTES = VALUE.length + 32

const key = (n: number) => utf8(`key ${String(n).padStart(6, '0')}`)

/** Batches of one row each, in groups as callers make them. */
async function write(store: LevelStore, from: number, count: number): Promise<void> {
  for (let n = from; n < from + count; n += 8) {
    await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        store.batch([{ type: 'put', key: key(n + i), value: VALUE }], { sync: true }),
      ),
    )
  }
}

async function logOf(path: string): Promise<{ readonly path: string; readonly size: number }> {
  const name = (await readdir(path))
    .filter(each => each.endsWith('.log'))
    .toSorted()
    .at(-1) as string
  return { path: join(path, name), size: (await stat(join(path, name))).size }
}

async function rowsIn(path: string): Promise<number> {
  await using store = await openLevelStore(path)
  return (await Array.fromAsync(store.keys())).length
}

/** A folder as a crash leaves it. */
async function crashed(path: string, name: string): Promise<string> {
  const copy = join(folder, name)
  await cp(path, copy, { recursive: true })
  return copy
}

test('the log of small batches is longer than what is in it, and all of that is found', async () => {
  const path = join(folder, 'small')
  const store = await openLevelStore(path)
  const isLonger = async () => (await logOf(path)).size > rows * ROW_BYTES + STEP_BYTES / 4
  let rows = 0
  // Zeros are laid beside the writing: how soon is the disk's affair.
  while (rows * ROW_BYTES < 8 * STEP_BYTES && !(await isLonger())) {
    await write(store, rows, 64)
    rows += 64
  }
  assert.ok(await isLonger(), `${rows} rows and no zeros behind them`)
  const crash = await crashed(path, 'small crashed')
  await store[Symbol.asyncDispose]()
  assert.ok((await logOf(path)).size < rows * ROW_BYTES + 2 * STEP_BYTES)
  assert.equal(await rowsIn(crash), rows)
  assert.equal(await rowsIn(path), rows)
})

test('what comes after a start is written behind what was there', async () => {
  const path = join(folder, 'again')
  let rows = 0
  for (let start = 0; start < 3; start++) {
    await using store = await openLevelStore(path)
    const more = 8 * Math.ceil(STEP_BYTES / ROW_BYTES / 8)
    await write(store, rows, more)
    rows += more
  }
  assert.equal(await rowsIn(path), rows)
})

test('a record that was cut off before the zeros hides nothing that was written before it', async () => {
  const path = join(folder, 'cut')
  const store = await openLevelStore(path)
  const rows = 8 * Math.ceil(STEP_BYTES / ROW_BYTES / 8)
  await write(store, 0, rows)
  const crash = await crashed(path, 'cut crashed')
  await store[Symbol.asyncDispose]()
  const { path: log, size } = await logOf(crash)
  const written = rows * ROW_BYTES
  await truncate(log, written / 2)
  await truncate(log, size)
  const found = await rowsIn(crash)
  assert.ok(found > 0.45 * rows && found < 0.55 * rows, `${found} of ${rows}`)
})

test('large batches lay nothing', async () => {
  const path = join(folder, 'large')
  const store = await openLevelStore(path)
  const value = new Uint8Array(STEP_BYTES / 4).fill(7)
  const rows = 16
  for (let n = 0; n < rows; n++) await store.batch([{ type: 'put', key: key(n), value }], { sync: true })
  await store[Symbol.asyncDispose]()
  const { size } = await logOf(path)
  assert.ok(size < rows * value.length + STEP_BYTES / 4, `${size} bytes`)
})
