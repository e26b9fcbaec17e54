import assert from 'node:assert/strict'
import {
  appendFile,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { utf8, utf8Text } from './bytes.ts'
import { systemClock } from './clock.ts'
import { FileJournal, PART_BYTES } from './file-journal.ts'
import { createMemoryJournal, type Journal } from './journal.ts'
import { openLevelStore } from './level-store.ts'

const texts = ({ left }: Journal) => left.map(({ payload }) => utf8Text(payload))
const append = (journal: Journal, ...payloads: readonly string[]) =>
  payloads.reduce<Promise<number>>(async (before, payload) => {
    await before
    return await journal.append(utf8(payload))
  }, Promise.resolve(0))

/** What every `Journal` does. `open` gives the journal as the next process would find it. */
function conformance(
  name: string,
  withJournal: (body: (open: () => Promise<Journal>) => Promise<void>) => Promise<void>,
) {
  test(`${name}: what was appended and not released is there afterwards, in order`, () =>
    withJournal(async open => {
      let journal = await open()
      assert.deepEqual(texts(journal), [])
      const second = await append(journal, 'one', 'two')
      await append(journal, 'three', 'four')
      journal.release(second)
      journal = await open()
      journal.release(second)
      assert.deepEqual(texts(journal), ['three', 'four'])
      const last = await append(journal, 'five')
      journal = await open()
      journal.release(second)
      assert.deepEqual(texts(journal), ['three', 'four', 'five'])
      journal.release(last)
      assert.deepEqual(texts(journal), [])
    }))

  test(`${name}: numbers rise above all that were released, whatever is left of the journal`, () =>
    withJournal(async open => {
      const journal = await open()
      journal.release(1_000_000)
      const number = await append(journal, 'one')
      assert.ok(number > 1_000_000)
      journal.release(number)
      assert.ok((await append(journal, 'two')) > number)
    }))

  test(`${name}: a payload is the journal's own`, () =>
    withJournal(async open => {
      const payload = utf8('mine')
      const journal = await open()
      await journal.append(payload, { isAlone: true })
      payload.fill(0)
      assert.deepEqual(texts(await open()), ['mine'])
    }))
}

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'journal-'))
  try {
    await body(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** A journal that is opened anew each time, as by a process after one that was killed. */
const withFiles = (body: (open: () => Promise<FileJournal>, folder: string) => Promise<void>) =>
  inFolder(async folder => {
    await using stack = new AsyncDisposableStack()
    await body(async () => stack.use(await FileJournal.open(folder, systemClock)), folder)
  })

conformance('memory', async body => {
  const journal = createMemoryJournal()
  await body(async () => journal)
})
conformance('files', withFiles)

const partsOf = async (folder: string) => (await readdir(folder)).toSorted().map(name => join(folder, name))

test('there are no files before the first record, and room is laid with it', () =>
  withFiles(async (open, folder) => {
    const journal = await open()
    assert.deepEqual(await readdir(folder), [])
    await append(journal, 'one')
    const [part = '', ...others] = await partsOf(folder)
    assert.equal((await stat(part)).size, PART_BYTES)
    assert.deepEqual(others, [])
  }))

test('what is released makes room: the files are written over, however much comes', () =>
  withFiles(async (open, folder) => {
    const journal = await open()
    const payload = 'x'.repeat(1000)
    const numbers: number[] = []
    for (let i = 0; i < 2000; i++) {
      numbers.push(await append(journal, `${i} ${payload}`))
      // As nodes are made: some are always in none yet.
      if (i >= 50) journal.release(numbers[i - 50] as number)
    }
    const sizes = await Promise.all((await partsOf(folder)).map(async path => (await stat(path)).size))
    assert.equal(sizes.length, 2)
    assert.ok(Math.max(...sizes) < PART_BYTES + 2000, sizes.join())
    const found = await open()
    found.release(numbers[1949] as number)
    assert.deepEqual(
      texts(found).map(text => text.split(' ')[0]),
      Array.from({ length: 50 }, (_, i) => `${1950 + i}`),
    )
  }))

test('what is not released is never written over, and the room for it is given back afterwards', () =>
  withFiles(async (open, folder) => {
    const journal = await open()
    const payload = 'x'.repeat(50_000)
    const last = await append(journal, ...Array.from({ length: 40 }, (_, i) => `${i} ${payload}`))
    assert.equal(texts(await open()).length, 40)
    const bytes = async () => {
      const sizes = (await partsOf(folder)).map(async path => (await stat(path)).size)
      return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
    }
    assert.ok((await bytes()) > 40 * 50_000)
    journal.release(last)
    await append(journal, 'small')
    assert.ok((await bytes()) < 3 * PART_BYTES)
    const found = await open()
    found.release(last)
    assert.deepEqual(texts(found), ['small'])
  }))

test('room that an earlier process needed is given back, too', () =>
  withFiles(async (open, folder) => {
    const last = await append(await open(), 'x'.repeat(10 * PART_BYTES))
    const later = await open()
    later.release(last)
    await append(later, 'small')
    const [part = ''] = await partsOf(folder)
    assert.equal((await stat(part)).size, PART_BYTES)
  }))

test('a record that was cut off or damaged ends the reading, and the next one takes its place', () =>
  withFiles(async (open, folder) => {
    const last = await append(await open(), 'one', 'two', 'three')
    const [part = ''] = await partsOf(folder)
    const whole = await readFile(part)
    const end = whole.indexOf('three') + 'three'.length
    for (const at of [end - 1, end - 5, end - 6, end - 13, end - 14, end - 20, end - 21]) {
      await writeFile(part, whole)
      await truncate(part, at)
      assert.deepEqual(texts(await open()), ['one', 'two'], `cut off at ${at}`)
      const damaged = Buffer.from(whole)
      damaged[at] = (damaged[at] ?? 0) ^ 1
      await writeFile(part, damaged)
      assert.deepEqual(texts(await open()), ['one', 'two'], `damaged at ${at}`)
    }
    const journal = await open()
    assert.ok((await append(journal, 'four')) >= last)
    assert.deepEqual(texts(await open()), ['one', 'two', 'four'])
  }))

test('what an earlier round left behind the last record is not read', () =>
  withFiles(async (open, folder) => {
    const journal = await open()
    journal.release(await append(journal, 'aaa', 'bbb', 'ccc'))
    const number = await append(journal, 'new')
    const [part = ''] = await partsOf(folder)
    assert.ok((await readFile(part)).includes('bbb'), 'it is there, and has the same length')
    const found = await open()
    found.release(number - 1)
    assert.deepEqual(texts(found), ['new'])
    // Nor is what somebody else put there.
    await appendFile(part, 'more')
    assert.deepEqual(texts(await open()), ['new'])
  }))

const NO_FULL_DEVICE = process.platform === 'linux' ? false : 'there is no /dev/full'

test(
  'a record that cannot be written is refused with the reason, and not found',
  { skip: NO_FULL_DEVICE },
  () =>
    withFiles(async (open, folder) => {
      const journal = await open()
      const part = join(folder, 'journal-0')
      await symlink('/dev/full', part)
      for (const payload of ['one', 'two']) {
        await assert.rejects(append(journal, payload), {
          code: 'STORE_FULL',
          data: { code: 'STORE_FULL', path: folder },
        })
      }
      await rm(part)
      const later = await open()
      assert.deepEqual(texts(later), [])
      await append(later, 'three')
      assert.deepEqual(texts(await open()), ['three'])
    }),
)

test('a journal that cannot be read leaves the store closed, so that it can be opened once it can', () =>
  inFolder(async folder => {
    const path = join(folder, 'store')
    {
      await using first = await openLevelStore(path)
      await first.journal.append(utf8('one'))
    }
    await rename(join(path, 'journal-0'), join(path, 'kept'))
    await mkdir(join(path, 'journal-0'))
    await assert.rejects(openLevelStore(path), { code: 'STORE_FAILED' })
    await rm(join(path, 'journal-0'), { recursive: true })
    await rename(join(path, 'kept'), join(path, 'journal-0'))
    await using store = await openLevelStore(path)
    assert.deepEqual(texts(store.journal), ['one'])
  }))
