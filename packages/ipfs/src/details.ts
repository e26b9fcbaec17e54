/** What the node's own RPC needs of it beyond its port. */
import { anySignal, type AbortOptions } from '@ipfs-cluster/base'
import { CID } from 'multiformats/cid'
import { decode as decodeDigest } from 'multiformats/hashes/digest'
import type { BlockStore } from './blocks/block-store.ts'
import type { Lifetime } from './lifetime.ts'
import type { Reader } from './reader.ts'
import type { SwarmDetails } from './swarm/details.ts'
import type { IpfsNode } from './types.ts'

const RAW = 0x55

/** The built-in node as its RPC sees it. */
export interface RpcNode extends IpfsNode {
  readonly details: NodeDetails
  /** Gives back memory that only serves speed. False when it is in use. @throws StoreError */
  returnMemory(): Promise<boolean>
}

export interface NodeDetails {
  /** Of the repository. */
  readonly path: string
  /** Related reads. From others too, unless `fetch` is false. */
  session(options: AbortOptions & { readonly fetch: boolean }): NodeSession
  readonly blocks: {
    /** Bytes, when it is here. */
    size(cid: CID): Promise<number | undefined>
    /** Removes a block, whatever pins say; but not one that a running pin or add relies on. */
    remove(cid: CID): Promise<'removed' | 'missing' | 'in use'>
    /** All that are here, as raw CIDv1: only the hash is known. */
    list(options: AbortOptions): AsyncIterable<CID>
  }
  readonly swarm: SwarmDetails
}

export interface NodeSession extends Disposable {
  get(cid: CID, options?: AbortOptions): Promise<Uint8Array>
}

export function createDetails(
  {
    blocks,
    lifetime,
    reader,
    swarm,
  }: {
    readonly blocks: BlockStore
    readonly lifetime: Lifetime
    readonly reader: Reader
    readonly swarm: SwarmDetails
  },
  path: string,
): NodeDetails {
  return {
    path,
    session(options) {
      const session = reader.session({ ...options, lenient: true })
      return {
        get: (cid, { signal } = {}) =>
          lifetime.run({ signal: anySignal(options.signal, signal) }, stop =>
            session.get(cid, { signal: stop }),
          ),
        [Symbol.dispose]: () => session[Symbol.dispose](),
      }
    },
    blocks: {
      size: async cid => (await blocks.info(cid))?.size,
      async remove(cid) {
        // Whatever begins to rely on it from here on is protected.
        using _frozen = blocks.protection.freeze()
        if ((await blocks.info(cid)) === undefined) return 'missing'
        const removed = await blocks.remove(
          [cid.multihash.bytes],
          multihash => !blocks.protection.protects(multihash),
        )
        return removed.length > 0 ? 'removed' : 'in use'
      },
      list: options =>
        lifetime.iterate(options, async function* (signal) {
          for await (const [multihash] of blocks.entries({ signal })) {
            // The row's buffer may be shared with its neighbours.
            yield CID.createV1(RAW, decodeDigest(Uint8Array.from(multihash)))
          }
        }),
    },
    swarm,
  }
}
