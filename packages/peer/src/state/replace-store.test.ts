import assert from 'node:assert/strict'
import { mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { utf8, utf8Text, type Store } from '@ipfs-cluster/base'
import { openLevelStore } from '@ipfs-cluster/base/level-store'
import { removeStore, replaceStore, settleStore } from './replace-store.ts'

const NAME = utf8('name')

async function place() {
  const folder = await mkdtemp(join(tmpdir(), 'replace-'))
  const path = join(folder, 'store')
  const write = (name: string) => async (store: Store) => {
    await store.batch([{ type: 'put', key: NAME, value: utf8(name) }], { sync: true })
  }
  return {
    path,
    write,
    async make(suffix: string, name: string) {
      await using store = await openLevelStore(`${path}${suffix}`)
      await write(name)(store)
    },
    async name() {
      await using store = await openLevelStore(path)
      const value = await store.get(NAME)
      return value === undefined ? undefined : utf8Text(value)
    },
    folders: async () => (await readdir(folder)).toSorted(),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  }
}

test('a store is replaced as a whole, whether there was one or not', async () => {
  await using at = await place()
  for (const name of ['first', 'second']) {
    assert.equal(
      await replaceStore(at.path, async fresh => {
        assert.deepEqual(await Array.fromAsync(fresh.keys()), [])
        await at.write(name)(fresh)
        return name.length
      }),
      name.length,
    )
    assert.equal(await at.name(), name)
    assert.deepEqual(await at.folders(), ['store'])
  }
})

test('a failure while the new one is written changes nothing', async () => {
  await using at = await place()
  await at.make('', 'old')
  const failing = replaceStore(at.path, async fresh => {
    await at.write('new')(fresh)
    throw new Error('no')
  })
  await assert.rejects(failing, { message: 'no' })
  assert.equal(await at.name(), 'old')
  assert.deepEqual(await at.folders(), ['store'])
})

test('nobody else opens the store meanwhile, and a store in use is left alone', async () => {
  await using at = await place()
  await replaceStore(at.path, async () => {
    await assert.rejects(openLevelStore(at.path), { code: 'STORE_LOCKED' })
  })
  await using _store = await openLevelStore(at.path)
  await assert.rejects(
    replaceStore(at.path, () => Promise.resolve()),
    { code: 'STORE_LOCKED' },
  )
  await assert.rejects(removeStore(at.path), { code: 'STORE_LOCKED' })
  assert.deepEqual(await at.folders(), ['store'])
})

/** What a crash leaves at each step, and which store must be there afterwards. */
const CRASHES: readonly (readonly [string, readonly string[], string])[] = [
  ['while the new store is written', ['', '.partial'], 'old'],
  ['when the new store is complete', ['', '.next'], 'old'],
  ['between the renames', ['.old', '.next'], 'new'],
  ['before the old store is removed', ['new', '.old'], 'new'],
]

for (const [when, left, expected] of CRASHES) {
  test(`after a crash ${when} the ${expected} store is there`, async () => {
    await using at = await place()
    for (const suffix of left) {
      const isNew = suffix === 'new' || suffix === '.partial' || suffix === '.next'
      await at.make(suffix === 'new' ? '' : suffix, isNew ? 'new' : 'old')
    }
    await settleStore(at.path)
    assert.deepEqual(await at.folders(), ['store'])
    assert.equal(await at.name(), expected)
    await settleStore(at.path)
    assert.equal(await at.name(), expected)
  })
}

test('a store is removed; where there is none, nothing happens', async () => {
  await using at = await place()
  await removeStore(at.path)
  await settleStore(at.path)
  assert.deepEqual(await at.folders(), [])
  await at.make('', 'old')
  await removeStore(at.path)
  assert.deepEqual(await at.folders(), [])
  // Cut off before the files were gone.
  await at.make('', 'old')
  await rename(at.path, `${at.path}.old`)
  assert.equal(await at.name(), undefined)
  await settleStore(at.path)
  assert.deepEqual(await at.folders(), ['store'])
})
