import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { ClassicLevel } from 'classic-level'
import { utf8, utf8Text } from './bytes.ts'
import { systemClock } from './clock.ts'
import { CodedError } from './errors.ts'
import { LevelEngine } from './level-engine.ts'
import type { StoreOp } from './store.ts'

let folder: string
before(async () => void (folder = await mkdtemp(join(tmpdir(), 'engine-'))))
after(() => rm(folder, { recursive: true }))

type Batch = readonly object[]

const ioError = (text: string) => new CodedError(text, { code: 'LEVEL_IO_ERROR' })

/** An engine whose disk takes an append and then fails to sync it: the batch is not seen, and is there when the engine is opened anew. */
class UnsyncedLevel extends ClassicLevel<Uint8Array, Uint8Array> {
  /** Whether the next batches fail, in turn; those behind them do not. */
  fails: boolean[] = []
  opens = true
  reads = true
  #appended: Batch[] = []

  override batch(...args: never[]): never {
    return this.#batch(...(args as unknown as [Batch, object])) as never
  }

  async #batch(ops: Batch, options: object): Promise<void> {
    if (this.fails.shift() !== true) return await Reflect.apply(super.batch, this, [ops, options])
    this.#appended.push(ops)
    throw ioError('IO error: Input/output error')
  }

  override getMany(...args: never[]): never {
    if (!this.reads) return Promise.reject(ioError('IO error: cannot be read')) as never
    return Reflect.apply(super.getMany, this, args) as never
  }

  override async open(options: object = {}): Promise<void> {
    if (!this.opens) throw ioError('IO error: cannot be opened')
    await super.open(options)
    for (const ops of this.#appended.splice(0)) await Reflect.apply(super.batch, this, [ops, {}])
  }
}

async function openEngine(name: string) {
  const path = join(folder, name)
  const db = new UnsyncedLevel(path, { keyEncoding: 'view', valueEncoding: 'view' })
  await db.open()
  let now = 0
  const engine = new LevelEngine(db, path, { ...systemClock, monotonic: () => now })
  const content = async () =>
    (await db.iterator().all()).map(([key, value]) => `${utf8Text(key)}=${utf8Text(value)}`).join(' ')
  return { db, engine, content, turn: () => void (now += 10_000) }
}

const put = (key: string, value: string): StoreOp => ({ type: 'put', key: utf8(key), value: utf8(value) })
const del = (key: string): StoreOp => ({ type: 'del', key: utf8(key) })

test('a batch that was refused does not come back with the log', async () => {
  const { db, engine, content, turn } = await openEngine('refused')
  await engine.write([put('a', '1'), put('b', '1')], true)
  // What undoes it comes in between.
  db.fails = [true, false, true]
  await assert.rejects(engine.write([put('a', '2'), del('b'), put('c', '2')], true), /Input\/output error/)
  assert.equal(await content(), 'a=1 b=1')
  turn()
  await engine.write([put('d', '3')], true)
  assert.equal(await content(), 'a=1 b=1 d=3')
  await engine.close()
})

test('a batch that succeeds when it is repeated is there', async () => {
  const { db, engine, content } = await openEngine('repeated')
  await engine.write([put('a', '1')], true)
  db.fails = [true]
  await engine.write([put('a', '2'), put('b', '2')], true)
  assert.equal(await content(), 'a=2 b=2')
  await engine.close()
})

test('what was refused is undone also when the disk fails for longer', async () => {
  const { db, engine, content, turn } = await openEngine('longer')
  await engine.write([put('a', '1')], true)
  // What undoes it fails too, twice; then opening does.
  db.fails = [true, true, true]
  await assert.rejects(engine.write([put('a', '2')], true), /Input\/output error/)
  turn()
  await assert.rejects(engine.write([put('b', '3')], true), /Input\/output error/)
  turn()
  db.opens = false
  await assert.rejects(engine.write([put('c', '4')], true), /cannot be opened/)
  db.opens = true
  turn()
  await engine.write([put('d', '5')], true)
  assert.equal(await content(), 'a=1 d=5')
  await engine.close()
})

test('what cannot be undone is not brought back: a store that cannot be read takes no writes, and says why', async () => {
  const { db, engine, content, turn } = await openEngine('unreadable')
  await engine.write([put('a', '1')], true)
  db.fails = [true]
  db.reads = false
  await assert.rejects(engine.write([put('a', '2')], true), /cannot be read/)
  assert.equal(await content(), 'a=1')
  turn()
  await assert.rejects(engine.write([put('b', '3')], true), /cannot be read/)
  db.reads = true
  turn()
  await engine.write([put('c', '4')], true)
  assert.equal(await content(), 'a=1 c=4')
  await engine.close()
})

test('an engine that cannot be opened when its files were to be unmapped is opened by whoever asks next', async () => {
  const { db, engine, content } = await openEngine('unmapped')
  await engine.write([put('a', '1')], false)
  db.opens = false
  await assert.rejects(engine.unmapFiles(), /cannot be opened/)
  assert.equal(engine.isReadable, false)
  await assert.rejects(engine.readable(), /cannot be opened/)
  await assert.rejects(engine.write([put('b', '2')], true), /cannot be opened/)
  assert.equal(await engine.unmapFiles(), false)
  db.opens = true
  await engine.write([put('c', '3')], true)
  assert.equal(await content(), 'a=1 c=3')
  await engine.close()
})
