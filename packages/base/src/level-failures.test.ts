/**
 * A disk that fails for a while: `prlimit` (Linux) lets a process write no file beyond a size, so that appends end in the middle of a record, as on a
 * full disk. A real full disk is in test/durability.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { utf8, utf8Text } from './bytes.ts'
import { systemClock } from './clock.ts'
import { openLevelStore, type LevelStore } from './level-store.ts'

function limitFiles(bytes: number | 'unlimited'): void {
  execFileSync('prlimit', ['--pid', String(process.pid), `--fsize=${bytes}:`])
}

const canLimit = (() => {
  try {
    limitFiles('unlimited')
    return true
  } catch {
    return false
  }
})()
const options = canLimit ? {} : { skip: 'needs prlimit of util-linux' }

const VALUE_BYTES = 700

/** Writes numbered rows and knows which were acknowledged. */
class Writer {
  readonly acknowledged = new Set<string>()
  readonly codes = new Map<string, number>()
  #next = 0

  async write(store: LevelStore, count: number, sync = true): Promise<void> {
    const one = async () => {
      // In no order, so that sorted files overlap and are merged.
      const key = `k${(this.#next++ * 7_919) % 100_003}`
      try {
        // Does not compress: files are as large as what is written.
        await store.batch([{ type: 'put', key: utf8(key), value: randomBytes(VALUE_BYTES) }], { sync })
        this.acknowledged.add(key)
      } catch (error) {
        const { code } = error as { code: string }
        this.codes.set(code, (this.codes.get(code) ?? 0) + 1)
      }
    }
    for (let left = count; left > 0; left -= 10) await Promise.all(Array.from({ length: 10 }, one))
  }

  async missing(store: LevelStore): Promise<string[]> {
    const found = new Set<string>()
    for await (const key of store.keys()) found.add(utf8Text(key))
    return [...this.acknowledged].filter(key => !found.has(key))
  }
}

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'store-'))
  try {
    await body(folder)
  } finally {
    limitFiles('unlimited')
    await rm(folder, { recursive: true })
  }
}

async function logBytes(folder: string): Promise<number> {
  const log = (await readdir(folder))
    .filter(name => name.endsWith('.log'))
    .toSorted()
    .at(-1) as string
  return (await stat(join(folder, log))).size
}

/** A clock that the test turns. */
function turnedClock() {
  let now = 0
  return { clock: { ...systemClock, monotonic: () => now }, turn: (ms: number) => void (now += ms) }
}

test(
  'an append that fails in the middle: reading goes on, writing begins again, nothing acknowledged is lost',
  options,
  () =>
    withFolder(async folder => {
      const { clock, turn } = turnedClock()
      const writer = new Writer()
      {
        await using store = await openLevelStore(folder, { clock })
        await writer.write(store, 200)
        for (let round = 0; round < 3; round++) {
          limitFiles((await logBytes(folder)) + 1_000)
          await writer.write(store, 50)
          assert.ok((writer.codes.get('STORE_FAILED') ?? 0) > 0)
          assert.deepEqual(await writer.missing(store), [])
          limitFiles('unlimited')
          const before = writer.acknowledged.size
          await writer.write(store, 10)
          assert.equal(writer.acknowledged.size, before, 'attempts are paced')
          turn(1_000)
          await writer.write(store, 200)
          assert.equal(writer.acknowledged.size, before + 200)
        }
      }
      await using store = await openLevelStore(folder)
      assert.deepEqual(await writer.missing(store), [])
      assert.deepEqual([...writer.codes.keys()], ['STORE_FAILED'])
    }),
)

test('a failed flush: the engine refuses to write until it is opened anew, which we do', options, () =>
  withFolder(async folder => {
    const { clock, turn } = turnedClock()
    const writer = new Writer()
    {
      await using store = await openLevelStore(folder, { clock, writeBufferBytes: 256 * 1024 })
      await writer.write(store, 100)
      // Logs are smaller than the sorted files that are made of several.
      limitFiles(300 * 1024)
      await writer.write(store, 6_000, false)
      const failures = [...writer.codes.values()].reduce((sum, count) => sum + count, 0)
      assert.ok(failures > 0)
      assert.deepEqual(await writer.missing(store), [])
      limitFiles('unlimited')
      turn(1_000)
      const before = writer.acknowledged.size
      await writer.write(store, 500)
      assert.equal(writer.acknowledged.size, before + 500)
    }
    await using store = await openLevelStore(folder)
    assert.deepEqual(await writer.missing(store), [])
  }),
)

test(
  'a listing that is under way when the engine is opened anew ends with an error that says so',
  options,
  () =>
    withFolder(async folder => {
      const { clock, turn } = turnedClock()
      await using store = await openLevelStore(folder, { clock })
      const writer = new Writer()
      await writer.write(store, 2_500, false)
      const listing = store.keys()[Symbol.asyncIterator]()
      await listing.next()
      limitFiles((await logBytes(folder)) + 1_000)
      await writer.write(store, 20)
      limitFiles('unlimited')
      turn(1_000)
      await writer.write(store, 20)
      await assert.rejects(
        async () => {
          while ((await listing.next()).done !== true);
        },
        { code: 'STORE_REOPENED' },
      )
      assert.equal(await store.get(utf8('nothing')), undefined)
    }),
)

test(
  'an engine that cannot be opened again answers nothing, begins no new store, and comes back',
  options,
  () =>
    withFolder(async folder => {
      const { clock, turn } = turnedClock()
      await using store = await openLevelStore(folder, { clock })
      const writer = new Writer()
      await writer.write(store, 100)
      const current = join(folder, 'CURRENT')
      limitFiles((await logBytes(folder)) + 1_000)
      await writer.write(store, 20)
      limitFiles('unlimited')
      await rename(current, `${current}.away`)
      turn(1_000)
      await writer.write(store, 10)
      for (let i = 0; i < 3; i++) {
        await assert.rejects(store.get(utf8('x')), { code: 'STORE_FAILED' })
        await assert.rejects(Array.fromAsync(store.keys()), { code: 'STORE_FAILED' })
      }
      await rename(`${current}.away`, current)
      turn(1_000)
      assert.deepEqual(await writer.missing(store), [])
      const before = writer.acknowledged.size
      turn(1_000)
      await writer.write(store, 10)
      assert.equal(writer.acknowledged.size, before + 10)
    }),
)
