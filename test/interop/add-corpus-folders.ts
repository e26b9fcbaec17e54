/** The folders of `add-corpus.ts`. */
import {
  bytesOf,
  directory,
  file,
  symlink,
  type AddCase,
  type Entry,
  type Flags,
} from './add-corpus-content.ts'

const FORMS: Readonly<Record<string, Flags>> = {
  v0: {},
  'v0 raw': { rawLeaves: true },
  v1: { cidVersion: 1 },
  'v1 not raw': { cidVersion: 1, rawLeaves: false },
  trickle: { trickle: true },
  'sha2-512': { hash: 'sha2-512', cidVersion: 1 },
  wrap: { wrap: true },
  'v1 wrap': { cidVersion: 1, wrap: true },
}
/** Names that something on the way may change. Apart by what no name can have. */
const NAMES = [
  'plain/UPPER/with space/ leading/trailing /two  spaces/tab\there/a+b/+/100%/%41/%zz',
  'a&b=c/a;b/a?b#c/quote"double/quote\'single/back`tick/back\\slash/<tag>/{brace}/[bracket]',
  'colon:colon/a|b/*/$HOME/~/-dash/.../..dots/dot./a.b.c/@at/a,b/!bang/^/=',
  'schön/scho\u0308n/ñandú/Ελληνικά/русский/עברית/العربية/हिन्दी/ไทย/中文/日本語/한국어',
  '😀/👩‍👩‍👧/🏴󠁧󠁢󠁳󠁣󠁴󠁿/é文😀/\u{10FFFF}/\uFFFD/\uFF5E/\u200Bzero/\u202Ertl/a\u0001b',
  `QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH/0/00/01/${'a'.repeat(255)}/${'я'.repeat(127)}`,
].flatMap(line => line.split('/'))

const of = (
  id: string,
  entries: () => readonly Entry[],
  flags: Flags = {},
  more: Partial<AddCase> = {},
): AddCase => ({
  id,
  entries,
  flags,
  onDisk: true,
  ...more,
})

/** The same folder in every form; by the command lines, which are slow to start, in some. */
const formed = (id: string, entries: () => readonly Entry[], more: Partial<AddCase> = {}): AddCase[] =>
  Object.entries(FORMS).map(([form, flags]) =>
    of(`${id}, ${form}`, entries, flags, { onDisk: ['v0', 'sha2-512', 'v1 wrap'].includes(form), ...more }),
  )

export function folderCases(): AddCase[] {
  return [
    ...formed('a bit of everything', mixed),
    ...formed('empty folder', () => [directory('empty')]),
    ...formed('names', () => [directory('names'), ...NAMES.map(name => file(`names/${name}`, name))]),
    ...formed('folders of names', () => [directory('d'), ...NAMES.map(name => directory(`d/${name}`))]),
    ...NAMES.map((name, index) =>
      of(`a file called ${index}: ${name}`, () => [file(name, 'content')], {}, asArgument(name)),
    ),
    ...NAMES.filter((_, index) => index % 4 === 0).map(name =>
      of(
        `a folder called ${name}`,
        () => [directory(name), file(`${name}/${name}`, 'content')],
        {},
        asArgument(name),
      ),
    ),
    ...formed(
      'several files',
      () => [file('b', 'b'), file('a', 'a'), file('c', bytesOf('random', 300_000))],
      { onDisk: false },
    ),
    ...formed('files and folders', severalTop, { onDisk: false }),
    ...formed('deep', () => deep(100)),
    ...formed('wide', () => many('wide', 2000, '')),
    ...shapes(),
    ...sharded(),
  ]
}

/** By the command lines, a third of them; a name that begins with a dash they would take for a flag. */
function asArgument(name: string): Partial<AddCase> {
  return { onDisk: NAMES.indexOf(name) % 3 === 0 && !name.startsWith('-') }
}

function mixed(): Entry[] {
  return [
    directory('mixed'),
    file('mixed/.hidden', 'hidden\n'),
    directory('mixed/.folder'),
    file('mixed/.folder/in', 'in a hidden folder\n'),
    file('mixed/B', 'upper case sorts first\n'),
    file('mixed/a', 'a\n'),
    directory('mixed/dir'),
    directory('mixed/dir/deep'),
    file('mixed/dir/deep/empty', ''),
    file('mixed/dir/same', 'a\n'),
    directory('mixed/empty dir'),
    symlink('mixed/link', 'dir/same'),
    symlink('mixed/outside', '../../nowhere/ä 😀'),
    file('mixed/three', bytesOf('random', 600_000)),
    file('mixed/zeros', bytesOf('zeros', 1_000_000)),
  ]
}

function severalTop(): Entry[] {
  return [
    directory('x'),
    file('x/1', 'one'),
    file('y', 'y'),
    directory('z'),
    directory('z/w'),
    file('z/w/1', 'one'),
  ]
}

function deep(levels: number): Entry[] {
  const paths = Array.from({ length: levels }, (_, index) =>
    Array.from({ length: index + 1 }, (_, n) => `d${n}`).join('/'),
  )
  return [...paths.map(directory), file(`${paths.at(-1)}/file`, 'deep down')]
}

/** @param prefix of every name. */
function many(folder: string, count: number, prefix: string): Entry[] {
  return [
    directory(folder),
    ...Array.from({ length: count }, (_, index) => file(`${folder}/${prefix}${index}`, `${index % 10}`)),
  ]
}

/** What only a request can say, or says in another order than a disk would. */
function shapes(): AddCase[] {
  const request = { onDisk: false }
  const suffix = '?mode=0644&mtime=1604320482&mtime-nsecs=55555'
  return [
    of('symlink alone', () => [symlink('link', 'target')]),
    of('symlink alone, v1 wrap', () => [symlink('link', 'target')], { cidVersion: 1, wrap: true }),
    of('symlink without a target', () => [directory('d'), symlink('d/link', '')], {}, request),
    of('folders that are not announced', () => [file('a/b/c/d', 'd'), file('a/x', 'x')], {}, request),
    of(
      'folders that take turns',
      () => [file('d/a', 'a'), file('e/x', 'x'), file('d/b', 'b'), file('f', 'f'), file('e/y', 'y')],
      {},
      request,
    ),
    of(
      'folders that take turns, wrap',
      () => [file('d/a', 'a'), file('e/x', 'x'), file('d/b', 'b'), file('f', 'f'), file('e/y', 'y')],
      { wrap: true },
      request,
    ),
    of(
      'children in no order',
      () => [directory('d'), file('d/b', 'b'), file('d/a', 'a'), directory('d/c')],
      {},
      request,
    ),
    of(
      'folders in no order',
      () => [directory('d/z'), file('d/y/f', 'f'), directory('d/a'), directory('d/é')],
      {},
      request,
    ),
    of(
      'a folder twice',
      () => [directory('d'), file('d/a', 'a'), directory('d'), file('d/b', 'b')],
      {},
      request,
    ),
    of('the same file twice', () => [directory('d'), file('d/a', 'a'), file('d/a', 'a')], {}, request),
    of(
      'two files of one name',
      () => [directory('d'), file('d/a', 'first'), file('d/a', 'second')],
      {},
      request,
    ),
    of(
      'two files of one name, wrap',
      () => [file('a', 'first'), file('a', 'second')],
      { wrap: true },
      request,
    ),
    of('two files of one name at the top', () => [file('a', 'first'), file('a', 'second')], {}, request),
    of(
      'a file, then a folder of its name',
      () => [directory('d'), file('d/a', 'a'), directory('d/a'), file('d/a/b', 'b')],
      {},
      request,
    ),
    of(
      'a folder, then a file of its name',
      () => [directory('d'), directory('d/a'), file('d/a/b', 'b'), file('d/a', 'a')],
      {},
      request,
    ),
    of('a name with slashes at both ends', () => [file('/a/', 'a')], {}, request),
    of('dots in a path', () => [file('d/./a', 'a'), file('d/x/../b', 'b')], {}, request),
    of('a path that leaves', () => [file('../../a', 'a')], {}, request),
    of('no name', () => [file('', 'nameless')], {}, request),
    of('no name, wrap', () => [file('', 'nameless')], { wrap: true }, request),
    of('mode and time of a file', () => [{ ...file('a', 'a'), fieldSuffix: suffix }], {}, request),
    of(
      'mode and time of a folder',
      () => [
        { ...directory('d'), fieldSuffix: suffix },
        { ...file('d/a', 'a'), fieldSuffix: suffix },
      ],
      {},
      request,
    ),
    of('mode and time of a symlink', () => [{ ...symlink('l', 't'), fieldSuffix: suffix }], {}, request),
    of(
      'one argument of two levels',
      () => [directory('p'), directory('p/q'), file('p/q/f', 'f')],
      {},
      { args: ['p/q'] },
    ),
    of('one file of a folder', () => [directory('p'), file('p/f', 'f')], {}, { args: ['p/f'] }),
    of('several arguments', severalTop, { wrap: true }, { args: ['y', 'x', 'z/w'] }),
    of('one argument twice', () => [file('y', 'y')], { wrap: true }, { args: ['y', 'y'] }),
    of('dots in an argument', severalTop, {}, { args: ['./x/../z/'] }),
  ]
}

/** A folder becomes a HAMT when names and CIDs of its links weigh more than 256 KiB. */
function sharded(): AddCase[] {
  const edges = Object.entries({ v0: 34, v1: 36, 'sha2-512': 68 }).flatMap(([form, cidBytes]) =>
    [-1, 0, 1].map(delta =>
      of(
        `256 KiB of links ${delta < 0 ? '' : '+'}${delta}, ${form}`,
        () => weighing(256 * 1024 + delta, cidBytes),
        FORMS[form] ?? {},
        {
          // As v0 says, files in it are not raw: names of files decide.
          onDisk: delta === 0,
        },
      ),
    ),
  )
  return [
    ...edges,
    ...['v0', 'v1', 'trickle', 'wrap', 'v1 wrap'].map(form =>
      of(`HAMT of 10,000, ${form}`, () => many('hamt', 10_000, 'entry number '), FORMS[form] ?? {}, {
        isLarge: form !== 'v0' && form !== 'v1 wrap',
      }),
    ),
    of('HAMT of 5,000 folders', () => [
      directory('h'),
      ...Array.from({ length: 5000 }, (_, n) => directory(`h/a folder of long name ${n}`)),
    ]),
    of(
      'HAMT in a HAMT',
      () => [
        directory('h'),
        ...many('h/m', 5000, 'a name long enough '),
        ...many('h', 5000, 'x name long enough ').slice(1),
      ],
      { wrap: true },
    ),
    of(
      'HAMT of names of every script',
      () => [
        directory('h'),
        ...NAMES.flatMap(name =>
          Array.from({ length: 60 }, (_, n) =>
            file(`h/${Array.from(name).slice(0, 10).join('')} ${name.length} ${n}`, ''),
          ),
        ),
      ],
      { cidVersion: 1 },
    ),
    of(
      'HAMT of 100,000',
      () => many('hamt', 100_000, 'n'),
      { cidVersion: 1 },
      { isLarge: true, onDisk: false },
    ),
  ]
}

/** A folder of empty files whose links weigh so many bytes. */
function weighing(bytes: number, cidBytes: number): Entry[] {
  const nameBytes = 64 - (cidBytes % 32)
  const count = Math.floor(bytes / (nameBytes + cidBytes))
  const missing = bytes - count * (nameBytes + cidBytes)
  const names = Array.from({ length: count }, (_, n) => String(n).padStart(nameBytes, '-'))
  return [
    directory('edge'),
    ...names.map((name, n) => file(`edge/${n === 0 ? '+'.repeat(missing) : ''}${name}`, '')),
  ]
}
