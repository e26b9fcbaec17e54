/**
 * One process per config folder. The truth is the lock of the durable store, which the system releases however a process ends;
 * `cluster.lock` is for Go processes: it holds our process id, and Go refuses a folder whose lock file is not empty.
 */
import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { asError, CodedError, errorCode } from '@ipfs-cluster/base'
import { openLevelStore } from '@ipfs-cluster/base/level-store'
import { STORE_FOLDER } from './peer-config.ts'

export interface LockFailure {
  readonly code: 'FOLDER_LOCKED'
  readonly path: string
}

export class LockError extends CodedError<LockFailure> {
  override readonly name = 'LockError'
}

const LOCK_FILE = 'cluster.lock'

/**
 * Takes the folder for process `pid`; dispose of it to let go.
 *
 * @throws LockError when another process, ours or Go's, works in the folder.
 */
export async function lockFolder(folder: string, pid: number): Promise<AsyncDisposable> {
  const path = join(folder, LOCK_FILE)
  if ((await isStoreOpen(join(folder, STORE_FOLDER))) || (await isLockedByGo(path))) throw locked(path)
  try {
    await writeFile(path, `${pid}\n`, { mode: 0o600 })
  } catch (error) {
    throw locked(path, error)
  }
  return { [Symbol.asyncDispose]: () => rm(path, { force: true }) }
}

/** Go's text, which scripts know. */
export function locked(path: string, cause?: unknown): LockError {
  const reason = cause === undefined ? 'someone else has the lock' : asError(cause).message
  return new LockError(
    `lock ${path}: ${reason}. If no other ipfs-cluster-service process is running, remove ${path}, or make sure that the ` +
      'config folder is writable for the user running ipfs-cluster-service.',
    { code: 'FOLDER_LOCKED', path },
    { cause },
  )
}

async function isStoreOpen(path: string): Promise<boolean> {
  if ((await statOrUndefined(path)) === undefined) return false
  try {
    await (await openLevelStore(path))[Symbol.asyncDispose]()
    return false
  } catch (error) {
    // Anything else that is wrong with the store is said by whoever needs its content.
    return errorCode(error) === 'STORE_LOCKED'
  }
}

/** Go holds a POSIX lock on the file; Linux lists those by inode. Elsewhere there is no way to see it. */
async function isLockedByGo(path: string): Promise<boolean> {
  const file = await statOrUndefined(path)
  if (file === undefined) return false
  const locks = await readFile('/proc/locks', 'utf8').catch(() => '')
  return locks.split('\n').some(line => line.includes('POSIX') && line.includes(`:${file.ino} `))
}

async function statOrUndefined(path: string) {
  try {
    return await stat(path)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}
