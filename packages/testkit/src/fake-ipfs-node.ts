/** The port of the built-in IPFS node, in memory and alone: blocks, pins of roots, paths. For tests of what stands on it. */
import { createHash } from 'node:crypto'
import { CodedError, concatBytes, equalBytes, piecesOf, raceSignal } from '@ipfs-cluster/base'
import type { IpfsNode, PinKind } from '@ipfs-cluster/ipfs'
import { CID } from 'multiformats/cid'
import { linksOf } from './test-blocks.ts'

type Failure =
  | { readonly code: 'IPFS_BLOCK_CORRUPT'; readonly cid: string }
  | { readonly code: 'IPFS_NOT_PINNED'; readonly cid: string }
  | { readonly code: 'IPFS_PATH_MISSING'; readonly path: string }
  | { readonly code: 'IPFS_NOT_UNIXFS' }

class FakeNodeError extends CodedError<Failure> {
  override readonly name = 'IpfsNodeError'
}

export interface FakeIpfsNode extends IpfsNode {
  /** Addresses that swarm.connect was called with. */
  readonly connects: string[]
  /** Holds that stand. */
  readonly holds: number
}

const PEER_ID = '12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5'

export function createFakeIpfsNode(): FakeIpfsNode {
  const connects: string[] = []
  const held = new Set<object>()
  const stored = createBlocks()
  const pinned = createPins(stored)
  const unsupported = () => {
    throw new FakeNodeError('the fake node has no UnixFS', { code: 'IPFS_NOT_UNIXFS' })
  }
  return {
    peerId: PEER_ID,
    connects,
    get holds() {
      return held.size
    },
    addresses: () => [`/ip4/127.0.0.1/tcp/4001/p2p/${PEER_ID}`],
    blocks: stored.blocks,
    pins: pinned.pins,
    hold() {
      const mark = {}
      held.add(mark)
      return { [Symbol.dispose]: () => void held.delete(mark) }
    },
    unixfs: { add: unsupported, cat: unsupported, ls: unsupported },
    async resolve(path, options) {
      const [, , root = '', ...names] = path.split('/')
      let cid = CID.parse(root)
      for (const name of names) {
        const link = linksOf(await stored.blocks.get(cid, options)).find(link => link.name === name)
        if (link === undefined) {
          throw new FakeNodeError(`nothing at ${path}`, { code: 'IPFS_PATH_MISSING', path })
        }
        cid = link.cid
      }
      return cid
    },
    repo: {
      async stat() {
        let size = 0
        for (const data of stored.map.values()) size += data.length
        return { repoSize: BigInt(size), storageMax: 10_000_000_000n, numObjects: stored.map.size }
      },
      async *gc() {
        const kept = new Set([...pinned.map.keys()].map(cid => keyOf(CID.parse(cid))))
        for (const key of stored.map.keys()) {
          if (kept.has(key)) continue
          stored.map.delete(key)
          yield CID.decode(Uint8Array.of(1, 0x55, ...Uint8Array.fromHex(key)))
        }
      },
    },
    swarm: {
      async connect(address) {
        connects.push(address)
        if (!/\/p2p\/[^/]+$/.test(address) || address.includes('/tcp/1/'))
          throw new Error('connection refused')
      },
      peers: () => [],
    },
    gatewayUrl: undefined,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

interface StoredBlocks {
  /** By hex of the multihash. */
  readonly map: Map<string, Uint8Array>
  readonly blocks: IpfsNode['blocks']
}

function createBlocks(): StoredBlocks {
  const map = new Map<string, Uint8Array>()
  const arrivals = new EventTarget()
  const blocks: IpfsNode['blocks'] = {
    async get(cid, { signal, fetch = true } = {}) {
      while (true) {
        signal?.throwIfAborted()
        const data = map.get(keyOf(cid))
        if (data !== undefined) return data
        if (!fetch) throw new Error(`no block ${cid}`)
        const arrived = Promise.withResolvers<void>()
        arrivals.addEventListener('block', () => arrived.resolve(), { once: true })
        await raceSignal(arrived.promise, signal)
      }
    },
    has: cid => Promise.resolve(map.has(keyOf(cid))),
    async put(group, { signal } = {}) {
      signal?.throwIfAborted()
      for (const block of group) {
        const { cid } = block
        // A copy, as if it were on the disk.
        const data = concatBytes(piecesOf(block))
        const digest = new Uint8Array(createHash('sha256').update(data).digest())
        if (!equalBytes(digest, cid.multihash.digest)) {
          const failure = { code: 'IPFS_BLOCK_CORRUPT', cid: cid.toString() } as const
          throw new FakeNodeError(`the data of ${cid} does not match it`, failure)
        }
        map.set(keyOf(cid), data)
      }
      arrivals.dispatchEvent(new Event('block'))
    },
  }
  return { map, blocks }
}

interface StoredPins {
  /** By text of the CID (version 1). */
  readonly map: Map<string, PinKind>
  readonly pins: IpfsNode['pins']
}

function createPins({ blocks }: StoredBlocks): StoredPins {
  const map = new Map<string, PinKind>()
  const pinKey = (cid: CID) => cid.toV1().toString()
  const pins: IpfsNode['pins'] = {
    async add(cid, { kind = 'recursive', signal, onProgress } = {}) {
      const data = await blocks.get(cid, { signal })
      onProgress?.({ blocks: 1, bytes: data.length, fetchedBlocks: 0 })
      map.set(pinKey(cid), kind)
    },
    async rm(cid) {
      if (!map.delete(pinKey(cid))) {
        throw new FakeNodeError(`${cid} is not pinned`, { code: 'IPFS_NOT_PINNED', cid: cid.toString() })
      }
    },
    async update(from, to, { signal, unpin = true } = {}) {
      await blocks.get(to, { signal })
      map.set(pinKey(to), 'recursive')
      if (unpin) map.delete(pinKey(from))
    },
    kind: cid => Promise.resolve(map.get(pinKey(cid))),
    async *ls() {
      for (const [cid, kind] of map) yield { cid: CID.parse(cid), kind }
    },
  }
  return { map, pins }
}

function keyOf(cid: CID): string {
  return cid.multihash.bytes.toHex()
}
