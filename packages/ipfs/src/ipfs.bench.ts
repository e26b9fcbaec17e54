/** What the built-in node does in a second, on this machine's disk and loopback: add, read, fetch, collect. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger, systemClock, systemRandom } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { createIpfsNode, defaultIpfsNodeConfig, type AddEntry, type IpfsNode } from './index.ts'

const MIB = 1024 * 1024
const BIG_BYTES = 256 * MIB
const SMALL_FILES = 2000
const ROUNDS = 3

const noise = systemRandom.bytes(65_536)

/** Bytes that differ from any others made here, in pieces of 64 KiB as a file or socket gives them. */
async function* content(length: number, tag: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < length; start += noise.length) {
    const piece = Buffer.from(noise.subarray(0, Math.min(noise.length, length - start)))
    if (piece.length >= 16) {
      piece.writeDoubleBE(tag, 0)
      piece.writeDoubleBE(start, 8)
    }
    yield piece
  }
}

async function withNode<T>(work: (node: IpfsNode) => Promise<T>): Promise<T> {
  const path = await mkdtemp(join(tmpdir(), 'ipfs-bench-'))
  try {
    await using node = await createIpfsNode(
      { clock: systemClock, random: systemRandom, logger: silentLogger },
      { ...defaultIpfsNodeConfig, path, listen: ['/ip4/127.0.0.1/tcp/0'] },
    )
    return await work(node)
  } finally {
    await rm(path, { recursive: true })
  }
}

async function add(node: IpfsNode, entries: Iterable<AddEntry>, cidVersion: 0 | 1): Promise<CID> {
  let root: CID | undefined
  for await (const { cid } of node.unixfs.add(entries, { cidVersion })) root = cid
  if (root === undefined) throw new Error('nothing was added')
  await node.pins.add(root)
  return root
}

async function measure(
  name: string,
  unit: string,
  amount: number,
  work: () => Promise<unknown>,
): Promise<void> {
  const start = systemClock.monotonic()
  await work()
  const seconds = (systemClock.monotonic() - start) / 1000
  const memory = Math.round(process.memoryUsage.rss() / MIB)
  console.log(`${name.padEnd(52)} ${(amount / seconds).toFixed(0).padStart(7)} ${unit}   rss ${memory} MB`)
}

const bigFile = (tag: number): AddEntry[] => [{ path: 'big', content: content(BIG_BYTES, tag) }]

function* smallFiles(tag: number): Generator<AddEntry> {
  for (let i = 0; i < SMALL_FILES; i++) yield { path: `d/f${i}`, content: content(1000 + i, tag + i) }
}

for (const cidVersion of [0, 1] as const) {
  await withNode(async node => {
    for (let round = 1; round <= ROUNDS; round++) {
      const tag = cidVersion * 1e6 + round * 1e5
      let big: CID | undefined
      await measure(`add and pin 256 MiB, CIDv${cidVersion}`, 'MiB/s', BIG_BYTES / MIB, async () => {
        big = await add(node, bigFile(tag), cidVersion)
      })
      await measure(`add and pin ${SMALL_FILES} small files, CIDv${cidVersion}`, 'files/s', SMALL_FILES, () =>
        add(node, smallFiles(tag), cidVersion),
      )
      await measure(`cat 256 MiB, CIDv${cidVersion}`, 'MiB/s', BIG_BYTES / MIB, async () => {
        for await (const _piece of node.unixfs.cat(`${big}`));
      })
    }
  })
}

await withNode(async source => {
  const big = await add(source, bigFile(1), 1)
  const small = await add(source, smallFiles(2), 1)
  for (let round = 1; round <= ROUNDS; round++) {
    await withNode(async target => {
      await target.swarm.connect(source.addresses()[0] ?? '')
      await measure('pin 256 MiB from another node', 'MiB/s', BIG_BYTES / MIB, () => target.pins.add(big))
      await measure(`pin ${SMALL_FILES} small files from another node`, 'files/s', SMALL_FILES, () =>
        target.pins.add(small),
      )
      await target.pins.rm(big)
      const { numObjects } = await target.repo.stat()
      await measure('collect garbage: 256 MiB of it', 'blocks/s', numObjects, async () => {
        for await (const _cid of target.repo.gc());
      })
    })
  }
})
