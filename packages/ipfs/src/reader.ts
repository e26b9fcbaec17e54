import { anySignal, type AbortOptions, type Clock, type Logger } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { BlockStore } from './blocks/block-store.ts'
import { blockMissing, isFailure } from './errors.ts'

/** How long a reader waits for one block that nobody delivers. */
export const READ_BLOCK_TIMEOUT_MS = 60_000

/** Blocks from other nodes. */
export interface Exchange {
  session(options: ExchangeOptions): ExchangeSession
}

export interface ExchangeOptions extends AbortOptions {
  /** Peers thought to have the blocks: ids, or multiaddrs with /p2p. */
  readonly providers?: readonly string[]
}

export interface ExchangeSession extends Disposable {
  /** Verified. Waits until somebody delivers it or the signal fires. */
  get(cid: CID, options: AbortOptions): Promise<Uint8Array>
}

export interface ReadOptions extends ExchangeOptions {
  /** For each block asked of others. @default 60_000 */
  readonly timeoutMs?: number
  /** May others be asked? @default true */
  readonly fetch?: boolean
  /** Hand a block out although it does not fit into the repository? For reading, not for pinning. @default false */
  readonly lenient?: boolean
}

/** Related reads; dispose of it to cancel what is under way. */
export interface FetchSession extends Disposable {
  /** From here, else from others. @throws IpfsNodeError `IPFS_BLOCK_MISSING`, `IPFS_BLOCK_CORRUPT`, `IPFS_REPO_FULL` */
  get(cid: CID, options?: AbortOptions): Promise<Uint8Array>
  /** From others; durable here when it resolves. @throws IpfsNodeError `IPFS_BLOCK_MISSING`, `IPFS_REPO_FULL` */
  fetch(cid: CID, options?: AbortOptions): Promise<Uint8Array>
}

export interface Reader {
  session(options?: ReadOptions): FetchSession
}

export interface ReaderComponents {
  readonly blocks: BlockStore
  readonly exchange: Exchange
  readonly clock: Clock
  readonly logger: Logger
}

/** Reads blocks wherever they are, and keeps what was fetched. */
export function createReader({ blocks, exchange, clock, logger }: ReaderComponents): Reader {
  const keep = async (cid: CID, data: Uint8Array, lenient: boolean): Promise<void> => {
    try {
      await blocks.put([{ cid, data }], { verified: true })
    } catch (error) {
      if (!lenient || !isFailure(error, 'IPFS_REPO_FULL')) throw error
      logger.warn({ cid: cid.toString() }, 'a fetched block is not kept: the repository is full')
    }
  }

  return {
    session({ timeoutMs = READ_BLOCK_TIMEOUT_MS, fetch: mayFetch = true, lenient = false, ...options } = {}) {
      let remote: ExchangeSession | undefined

      const fetch = async (cid: CID, { signal }: AbortOptions = {}): Promise<Uint8Array> => {
        if (!mayFetch) throw blockMissing(cid)
        remote ??= exchange.session(options)
        const deadline = clock.timeout(timeoutMs)
        let data: Uint8Array
        try {
          data = await remote.get(cid, { signal: anySignal(deadline, signal, options.signal) })
        } catch (error) {
          signal?.throwIfAborted()
          options.signal?.throwIfAborted()
          throw deadline.aborted ? blockMissing(cid, timeoutMs) : error
        }
        await keep(cid, data, lenient)
        return data
      }

      return {
        fetch,
        async get(cid, abort) {
          try {
            const here = await blocks.get(cid)
            if (here !== undefined) return here
          } catch (error) {
            // The damaged copy is out of the way; the block store has logged it.
            if (!mayFetch || !isFailure(error, 'IPFS_BLOCK_CORRUPT')) throw error
          }
          return await fetch(cid, abort)
        },
        [Symbol.dispose]: () => remote?.[Symbol.dispose](),
      }
    },
  }
}
