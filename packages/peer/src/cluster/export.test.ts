import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newPin, type PeerId, type Pin } from '@ipfs-cluster/api'
import { concatBytes, createMemoryStore, errorMessage, silentLogger } from '@ipfs-cluster/base'
import { dagBlocks, readCar } from '@ipfs-cluster/ipfs/car'
import { createManualClock, directoryBlock, rawBlock } from '@ipfs-cluster/testkit'
import type { CID } from 'multiformats/cid'
import type { IpfsConnector } from '../ipfsconn/index.ts'
import type { DagRequest, Network } from '../net/index.ts'
import { createExporter, servePinnedDag } from './export.ts'

type Ipfs = Pick<IpfsConnector, 'dagBlocks' | 'pinLsCid'>

const [a, b] = [rawBlock('a'), rawBlock('b')]
const below = directoryBlock([{ name: 'b', cid: b.cid }])
const root = directoryBlock([
  { name: 'a', cid: a.cid },
  { name: 'below', cid: below.cid },
])
const all = [root, a, below, b]
const texts = (blocks: readonly { readonly cid: CID }[]) => blocks.map(({ cid }) => `${cid}`)

/** A daemon that has these blocks and pins. */
function daemon(blocks: readonly { cid: CID; data: Uint8Array }[], mode?: 'recursive' | 'direct'): Ipfs {
  return {
    pinLsCid: async (_cid, asked) => (asked === mode ? asked : 'unpinned'),
    dagBlocks: (cid, { maxDepth } = {}) =>
      dagBlocks(
        cid,
        async wanted => {
          const block = blocks.find(each => each.cid.equals(wanted))
          if (block === undefined) throw new Error(`no block ${wanted}`)
          return block.data
        },
        { maxDepth },
      ),
  }
}

interface World {
  readonly pin?: Partial<Pin>
  readonly here?: Ipfs
  /** Peers with what they answer. */
  readonly others?: Readonly<Record<PeerId, Ipfs | 'a Go peer' | 'silence'>>
}

function setUp({ pin = {}, here = daemon([]), others = {} }: World) {
  const clock = createManualClock()
  const asked: PeerId[] = []
  let open = 0
  const stream = async function* (peer: PeerId, args: Iterable<DagRequest>, signal: AbortSignal | undefined) {
    asked.push(peer)
    const other = others[peer]
    if (other === 'silence') {
      await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
    }
    if (typeof other !== 'object') throw new Error("rpc: can't find method DagBlocks")
    const requests = async function* () {
      yield* args
    }
    open++
    try {
      yield* servePinnedDag(other, requests(), { signal })
    } finally {
      open--
    }
  }
  const rpc = {
    stream: (peer: PeerId, _method: unknown, args: Iterable<DagRequest>, options: { signal?: AbortSignal }) =>
      stream(peer, args, options.signal),
  }
  const exportCar = createExporter({
    network: { peerId: 'self', rpc: rpc as unknown as Network['rpc'] },
    ipfs: here,
    pinGet: async cid => newPin(cid, { replicationFactorMin: 1, replicationFactorMax: 1, ...pin }),
    members: () => ['self', ...Object.keys(others)],
    openScratch: async () => ({ ...createMemoryStore(), [Symbol.asyncDispose]: async () => undefined }),
    clock,
    logger: silentLogger,
  })
  const read = async (cid = root.cid) => {
    const { car } = await exportCar(cid)
    const bytes = concatBytes(await Array.fromAsync(car))
    const source = async function* () {
      yield bytes
    }
    const { roots, blocks } = await readCar(source())
    assert.deepEqual(roots.map(String), [`${cid}`])
    return texts(await Array.fromAsync(blocks))
  }
  return { exportCar, read, asked, clock, open: () => open }
}

test('what is kept here comes from the daemon here', async () => {
  const { read, asked } = setUp({ pin: { allocations: ['other', 'self'] }, here: daemon(all, 'recursive') })
  assert.deepEqual(await read(), texts(all))
  assert.deepEqual(asked, [])
})

test('what others keep comes from one of them', async () => {
  const others = { go: 'a Go peer', late: daemon(all), keeper: daemon(all, 'recursive') } as const
  const { read, asked } = setUp({ pin: { allocations: ['go', 'late', 'keeper'] }, others })
  assert.deepEqual(await read(), texts(all))
  // The Go peer does not know how, and the next has not pinned it yet.
  assert.deepEqual(asked, ['go', 'late', 'keeper'])
})

test('a peer without a word is given up', async () => {
  const others = { mute: 'silence', keeper: daemon(all, 'recursive') } as const
  const { read, clock } = setUp({ pin: { allocations: ['mute', 'keeper'] }, others })
  const reading = read()
  await clock.advance(15_000)
  assert.deepEqual(await reading, texts(all))
})

test('what nobody gives is fetched by the daemon here', async () => {
  const others = { go: 'a Go peer' } as const
  assert.deepEqual(
    await setUp({ pin: { allocations: ['go'] }, others, here: daemon(all) }).read(),
    texts(all),
  )
  // No peer has all blocks of sharded content.
  const sharded = setUp({ pin: { type: 'meta-pin', maxDepth: 0, allocations: [] }, here: daemon(all) })
  assert.deepEqual(await sharded.read(), texts(all))
})

test('pins of everybody are with any member, and as deep as they are kept', async () => {
  const everywhere = { replicationFactorMin: -1, replicationFactorMax: -1 }
  const others = { x: daemon(all, 'recursive') }
  assert.deepEqual(
    await setUp({ pin: { ...everywhere, maxDepth: 1 }, others }).read(),
    texts([root, a, below]),
  )
  const direct = setUp({
    pin: { ...everywhere, maxDepth: 0, mode: 'direct' },
    here: daemon([root], 'direct'),
  })
  assert.deepEqual(await direct.read(), texts([root]))
})

test('one that nobody has fails with what was tried last', async () => {
  const { read } = setUp({ pin: { allocations: ['go'] }, others: { go: 'a Go peer' } })
  await assert.rejects(read(), {
    code: 'EXPORT_INCOMPLETE',
    message: `cannot read ${root.cid}: no block ${root.cid}`,
  })
})

test('a peer that stops early, leaves blocks out or lies is found out', async () => {
  const short = (blocks: typeof all): Ipfs => ({
    ...daemon(all, 'recursive'),
    async *dagBlocks() {
      yield* blocks
    },
  })
  const lie = { ...b, data: Uint8Array.of(1) }
  for (const [blocks, code] of [
    [all.slice(0, 2), 'EXPORT_INCOMPLETE'],
    [[root, below, b], 'EXPORT_INCOMPLETE'],
    [[root, a, below, lie], 'EXPORT_BAD_BLOCK'],
  ] as const) {
    const { read } = setUp({ pin: { allocations: ['x'] }, others: { x: short([...blocks]) } })
    await assert.rejects(read(), { code })
  }
})

test('a failure in the middle is one, and is not made good by another peer', async () => {
  const broken = daemon([root, a], 'recursive')
  const { exportCar } = setUp({
    pin: { allocations: ['x', 'y'] },
    others: { x: broken, y: daemon(all, 'recursive') },
  })
  const { car } = await exportCar(root.cid)
  const error = await Array.fromAsync(car).catch((error: unknown) => error)
  assert.equal(errorMessage(error), `no block ${below.cid}`)
})

test('who leaves early ends the work of the peer', async () => {
  const blocks = Array.from({ length: 50 }, (_, i) => rawBlock(new Uint8Array(100_000).fill(i)))
  const folder = directoryBlock(blocks.map(({ cid }, i) => ({ name: `${i}`.padStart(3, '0'), cid })))
  const others = { x: daemon([folder, ...blocks], 'recursive') }
  const { exportCar, open } = setUp({ pin: { allocations: ['x'] }, others })
  const { car } = await exportCar(folder.cid)
  for await (const _ of car) break
  assert.equal(open(), 0)
})
