/**
 * Uploads that our adder and Kubo's `ipfs add` are given alike: every option, sizes around every boundary of the formats, folders of every
 * shape, names of every kind. Made by rules, so that the same id is the same upload on every machine.
 */
import { folderCases } from './add-corpus-folders.ts'
import { bytesOf, file, type AddCase, type Flags } from './add-corpus-content.ts'

export type { AddCase, Entry, Flags } from './add-corpus-content.ts'

/** Bytes of a leaf where the tree matters, not the content: trees of three levels then fit into half a megabyte. */
const SMALL_CHUNK = 16
/** Links of an inner node. */
const LINKS = 174
/** Leaves at which something begins or ends: a level of the balanced tree, a subtree of the trickle tree. */
const BALANCED_LEAVES = [1, 2, LINKS, LINKS + 1, 2 * LINKS, LINKS * LINKS, LINKS * (LINKS + 1)]
const TRICKLE_LEAVES = [1, LINKS, 2 * LINKS, 5 * LINKS, 10 * LINKS, 25 * LINKS, 125 * LINKS]
const FORMS: readonly Flags[] = [
  {},
  { rawLeaves: true },
  { cidVersion: 1 },
  { cidVersion: 1, rawLeaves: false },
]
/** Every hash function that Kubo has, by the names of `ipfs cid hashes`, and some that it has not. */
const HASHES = [
  'sha1 sha2-256 sha2-512 sha3 sha3-224 sha3-256 sha3-384 sha3-512 SHA3-512 shake-128 shake-256',
  'keccak-224 keccak-256 keccak-384 keccak-512 blake3 dbl-sha2-256 md5 murmur3-x64-64 identity nonsense',
  'blake2s-128 blake2s-224 blake2s-256',
  Array.from({ length: 47 }, (_, index) => `blake2b-${(index + 18) * 8}`).join(' '),
].flatMap(line => line.split(' '))

const one = (id: string, content: Uint8Array, flags: Flags, more: Partial<AddCase> = {}): AddCase => ({
  id,
  entries: () => [file('file', content)],
  flags,
  ...more,
})

/** All cases, each id once. */
export function addCorpus(): AddCase[] {
  const all = [...trees(), ...chunkers(), ...hashes(), ...largeFiles(), ...switches(), ...folderCases()]
  const ids = new Set(all.map(({ id }) => id))
  if (ids.size !== all.length) throw new Error('two cases have the same id')
  return all
}

function formName({ rawLeaves, cidVersion = 0 }: Flags): string {
  return `v${cidVersion}${rawLeaves === undefined ? '' : rawLeaves ? ' raw' : ' not raw'}`
}

/** One byte less, as many, and one more than fill so many leaves. */
function trees(): AddCase[] {
  return [false, true].flatMap(trickle =>
    FORMS.flatMap(form =>
      [0, ...around(trickle ? TRICKLE_LEAVES : BALANCED_LEAVES)].map(size =>
        one(
          `tree ${trickle ? 'trickle' : 'balanced'} ${formName(form)} ${size}`,
          bytesOf('random', size),
          { ...form, trickle, chunker: `size-${SMALL_CHUNK}` },
          // Tens of thousands of leaves: every time in one of the four forms only.
          { isLarge: size > 300_000 && Object.keys(form).length > 0 },
        ),
      ),
    ),
  )
}

function around(leaves: readonly number[]): number[] {
  return leaves.flatMap(count => [-1, 0, 1].map(delta => count * SMALL_CHUNK + delta))
}

function chunkers(): AddCase[] {
  const sizes = ['size-1', 'size-2', 'size-100', 'size-262143', 'size-1048576', 'size-2096896']
  const bad = [
    'size-0 size--1 size-x size size-1-2 size-2096897 rabin-47 rabin-16-15-20 rabin-15-20-30 rabin-16-20',
    // The last one is empty.
    'rabin-a-b-c buzhash-1 fastcdc default ',
  ].flatMap(line => line.split(' '))
  const fixed = sizes.flatMap(chunker =>
    (['random', 'zeros'] as const).map(kind => {
      const length = chunker === 'size-1' ? 400 : chunker === 'size-2' ? 1000 : 2_500_000
      return one(`chunker ${chunker} ${kind}`, bytesOf(kind, length), { chunker, cidVersion: 1 })
    }),
  )
  return [
    ...fixed,
    ...byContent(),
    ...bad.map(chunker => one(`chunker "${chunker}"`, bytesOf('text', 5000), { chunker })),
  ]
}

/** Chunks cut where the content says: of content that never says, always says, and sometimes. */
function byContent(): AddCase[] {
  const specifications = {
    rabin: [262_144, 1_500_000],
    'rabin-48': [48, 20_000],
    'rabin-1000': [1000, 100_000],
    'rabin-262144': [262_144, 1_500_000],
    'rabin-16-17-18': [18, 5000],
    'rabin-128-1024-8192': [8192, 200_000],
    'rabin-min:100-avg:300-max:5000': [5000, 100_000],
    buzhash: [524_288, 2_000_000],
  } as const
  return Object.entries(specifications).flatMap(([chunker, [max, long]]) => [
    ...(['random', 'zeros', 'text'] as const).map(kind =>
      one(`chunker ${chunker} ${kind}`, bytesOf(kind, long), { chunker, rawLeaves: kind === 'zeros' }),
    ),
    ...[0, 1, max - 1, max, max + 1].map(size =>
      one(`chunker ${chunker} ${size}`, bytesOf('random', size), { chunker, trickle: size % 2 === 1 }),
    ),
  ])
}

function hashes(): AddCase[] {
  return HASHES.flatMap(hash => [
    one(`hash ${hash}`, bytesOf('random', 3000), { hash, cidVersion: 1, chunker: 'size-1000' }),
    ...(hash.startsWith('blake2b')
      ? []
      : [one(`hash ${hash} not raw`, bytesOf('random', 300), { hash, cidVersion: 1, rawLeaves: false })]),
  ])
}

/** With the leaves of every day. */
function largeFiles(): AddCase[] {
  const chunk = 262_144
  const sizes = [0, 1, chunk - 1, chunk, chunk + 1, 3 * chunk]
  const plain = sizes.flatMap(size =>
    FORMS.flatMap(form =>
      [false, true].map(trickle =>
        one(
          `default ${trickle ? 'trickle' : 'balanced'} ${formName(form)} ${size}`,
          bytesOf('random', size),
          {
            ...form,
            trickle,
          },
        ),
      ),
    ),
  )
  const beyond = [false, true].map(trickle =>
    one(
      `174 links and a byte, ${trickle ? 'trickle' : 'balanced'}`,
      bytesOf('random', LINKS * chunk + 1),
      { trickle },
      {
        isLarge: true,
      },
    ),
  )
  return [...plain, ...beyond]
}

/** What changes the answer or the pin, but not the CIDs. */
function switches(): AddCase[] {
  const content = bytesOf('random', 700_000)
  return (['progress', 'nocopy', 'local', 'no-pin', 'recursive', 'hidden', 'stream-channels'] as const).map(
    name =>
      one(`switch ${name}`, content, { ours: { [name]: name === 'stream-channels' ? 'false' : 'true' } }),
  )
}
