/**
 * Replaces the store of a peer that does not run as a whole, so that a crash leaves the old one or the new one. Everything in the store
 * follows from the pinset (index, outbox, the tracker's table), so nothing is carried over. Beside the folder `store` there are, for a while:
 *
 * | folder | what |
 * |---|---|
 * | `store.partial` | the new store while it is being written |
 * | `store.next` | the new store, complete |
 * | `store.old` | the old store, on its way out |
 *
 * `store` is there whenever `store.partial` is begun; it is missing only between two renames, when `store.next` is complete.
 */
import { rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errorCode, type JournaledStore } from '@ipfs-cluster/base'
import { openLevelStore, syncFolder } from '@ipfs-cluster/base/level-store'

/**
 * Lets `fill` write a fresh store and puts it in the place of the one at `path`. When `fill` throws, nothing has changed.
 *
 * @throws StoreError `STORE_LOCKED` when a process has the store open.
 */
export async function replaceStore<T>(path: string, fill: (fresh: JournaledStore) => Promise<T>): Promise<T> {
  const { partial, next, old } = foldersOf(path)
  await settleStore(path)
  // Held open to the end: its lock keeps every other process out.
  await using current = await openLevelStore(path)
  const result = await writeNew(partial, fill)
  await rename(partial, next)
  await syncFolder(dirname(path))
  await moveOpen(current, path, old)
  try {
    await rename(next, path)
  } catch (error) {
    await rename(old, path)
    throw error
  }
  await syncFolder(dirname(path))
  await current[Symbol.asyncDispose]()
  await rm(old, { recursive: true, force: true })
  return result
}

/**
 * Takes the store at `path` away, if there is one.
 *
 * @throws StoreError `STORE_LOCKED` when a process has it open.
 */
export async function removeStore(path: string): Promise<void> {
  const { old } = foldersOf(path)
  await settleStore(path)
  if (!(await exists(path))) return
  {
    await using current = await openLevelStore(path)
    await moveOpen(current, path, old)
    await syncFolder(dirname(path))
  }
  await rm(old, { recursive: true, force: true })
}

/** Finishes or undoes a replacement that was cut off. Call with the folder's lock, before the store is opened. */
export async function settleStore(path: string): Promise<void> {
  const { partial, next, old } = foldersOf(path)
  if (!(await exists(path))) {
    if (!(await exists(next))) return
    await rename(next, path)
    await syncFolder(dirname(path))
  }
  for (const left of [partial, next, old]) await rm(left, { recursive: true, force: true })
}

function foldersOf(path: string) {
  return { partial: `${path}.partial`, next: `${path}.next`, old: `${path}.old` }
}

async function writeNew<T>(partial: string, fill: (fresh: JournaledStore) => Promise<T>): Promise<T> {
  try {
    await using fresh = await openLevelStore(partial)
    return await fill(fresh)
  } catch (error) {
    await rm(partial, { recursive: true, force: true })
    throw error
  }
}

/** Windows does not rename a folder with open files: there the store is closed first. */
async function moveOpen(store: AsyncDisposable, from: string, to: string): Promise<void> {
  try {
    await rename(from, to)
  } catch (error) {
    if (!['EPERM', 'EACCES', 'EBUSY'].includes(errorCode(error) ?? '')) throw error
    await store[Symbol.asyncDispose]()
    await rename(from, to)
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false
    throw error
  }
}
