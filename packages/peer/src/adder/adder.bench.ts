/** How fast the adder chunks and hashes when its destinations cost nothing. Run: `node adder.bench.ts [MiB]`. */
import { DEFAULT_ADD_PARAMS, type AddParams } from '@ipfs-cluster/api'
import { silentLogger, systemClock } from '@ipfs-cluster/base'
import { createAdder } from './index.ts'
import { file, partsOf, piecesOf, testBytes } from './test-content.ts'

const MIB = 1024 * 1024
const size = Number(process.argv[2] ?? 256) * MIB
const content = repeat(testBytes(16 * MIB), size)

const CASES: Readonly<Record<string, Partial<AddParams>>> = {
  'one file, defaults': {},
  'one file, raw leaves, CIDv1': { cidVersion: 1, rawLeaves: true },
  'one file, 1 MiB raw leaves': { cidVersion: 1, rawLeaves: true, chunker: 'size-1048576' },
  'one file, trickle': { layout: 'trickle' },
  'one file, rabin': { chunker: 'rabin' },
  'one file, buzhash': { chunker: 'buzhash' },
}

for (const destinations of [1, 3]) {
  for (const [name, params] of Object.entries(CASES)) {
    const seconds = await time(destinations, params, () => singleFile(content))
    report(`${name}, ${destinations} destination(s)`, `${(size / 1e6 / seconds).toFixed(0)} MB/s`)
  }
}
const small = Array.from({ length: 20_000 }, (_, i) => file(`folder/${i}`, testBytes(4096, `${i}`)))
const seconds = await time(1, {}, () => partsOf(small))
report('20,000 files of 4 KiB', `${(small.length / seconds).toFixed(0)} files/s`)

async function time(
  destinations: number,
  params: Partial<AddParams>,
  parts: () => ReturnType<typeof partsOf>,
): Promise<number> {
  const peers = Array.from({ length: destinations }, (_, i) => `peer${i}`)
  const adder = createAdder({
    self: 'peer0',
    allocate: () => Promise.resolve(peers),
    putBlocks: async (_peer, blocks) => {
      for await (const _ of blocks);
    },
    pin: () => Promise.resolve(),
    clock: systemClock,
    logger: silentLogger,
  })
  const start = performance.now()
  for await (const _ of adder.add(parts(), { ...DEFAULT_ADD_PARAMS, ...params }));
  return (performance.now() - start) / 1000
}

async function* singleFile(data: Uint8Array) {
  yield { path: 'file', kind: 'file' as const, content: piecesOf(data) }
}

function repeat(data: Uint8Array, length: number): Uint8Array {
  const out = new Uint8Array(length)
  for (let at = 0; at < length; at += data.length) out.set(data.subarray(0, length - at), at)
  return out
}

function report(name: string, result: string): void {
  console.log(`${name.padEnd(60)} ${result}`)
}
