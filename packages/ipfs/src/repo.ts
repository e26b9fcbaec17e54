import { mkdir, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { errorCode, utf8, utf8Text, type Store } from '@ipfs-cluster/base'
import { openLevelStore, type LevelStore } from '@ipfs-cluster/base/level-store'
import { IpfsNodeError } from './errors.ts'

/** Of the layout: `index/` (LevelDB: blocks `b`, segments `s`, pins `p`, facts `m`), `segments/` (the blocks). */
const REPO_VERSION = 1
const VERSION_KEY = utf8('mversion')

export interface Repo extends AsyncDisposable {
  readonly store: Store
  readonly segmentFolder: string
  /** Bytes. */
  diskFree(): Promise<number>
  /** Gives back the memory of mapped files of the index, unless it is in use. @throws StoreError */
  unmapFiles(): Promise<boolean>
}

/**
 * Opens or creates the repository in `path`, for this process alone.
 *
 * @throws IpfsNodeError `IPFS_REPO_LOCKED`, `IPFS_REPO_VERSION`; StoreError when the index is damaged
 */
export async function openRepo(path: string): Promise<Repo> {
  const segmentFolder = join(path, 'segments')
  // The key of the identity is in there.
  await mkdir(path, { recursive: true, mode: 0o700 })
  await mkdir(segmentFolder, { recursive: true })
  const store = await openStore(path)
  try {
    await checkVersion(store, path)
    return {
      store,
      segmentFolder,
      async diskFree() {
        const { bavail, bsize } = await statfs(segmentFolder)
        return bavail * bsize
      },
      unmapFiles: () => store.unmapFiles(),
      [Symbol.asyncDispose]: async () => await store[Symbol.asyncDispose](),
    }
  } catch (error) {
    await store[Symbol.asyncDispose]()
    throw error
  }
}

async function openStore(path: string): Promise<LevelStore> {
  try {
    return await openLevelStore(join(path, 'index'))
  } catch (cause) {
    if (errorCode(cause) !== 'STORE_LOCKED') throw cause
    throw new IpfsNodeError(
      `the IPFS repository ${path} is open in another process; stop that one first`,
      { code: 'IPFS_REPO_LOCKED', path },
      { cause },
    )
  }
}

async function checkVersion(store: Store, path: string): Promise<void> {
  const row = await store.get(VERSION_KEY)
  if (row === undefined) {
    await store.batch([{ type: 'put', key: VERSION_KEY, value: utf8(`${REPO_VERSION}`) }], { sync: true })
    return
  }
  const version = Number(utf8Text(row))
  if (version === REPO_VERSION) return
  throw new IpfsNodeError(
    `the IPFS repository ${path} has layout ${version}, this release knows ${REPO_VERSION}; use the release that wrote it`,
    { code: 'IPFS_REPO_VERSION', path, version },
  )
}
