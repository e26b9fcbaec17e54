import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { openLevelStore } from '@ipfs-cluster/base/level-store'
import type { OpenScratch } from './sort-by-cid.ts'

/** What is in a scratch store is read once: a cache would be of no use. Bytes. */
const CACHE_BYTES = 1024 * 1024
const WRITE_BUFFER_BYTES = 4 * 1024 * 1024

/** Stores below `folder`, each gone when it is disposed of. Those that a crash left behind are removed now. */
export async function createScratch(folder: string): Promise<OpenScratch> {
  await rm(folder, { recursive: true, force: true })
  return async () => {
    await mkdir(folder, { recursive: true })
    await using stack = new AsyncDisposableStack()
    const path = await mkdtemp(join(folder, 'sort-'))
    stack.defer(() => rm(path, { recursive: true, force: true, maxRetries: 3 }))
    const store = stack.use(
      await openLevelStore(path, { cacheBytes: CACHE_BYTES, writeBufferBytes: WRITE_BUFFER_BYTES }),
    )
    const owned = stack.move()
    return { ...store, [Symbol.asyncDispose]: () => owned.disposeAsync() }
  }
}
