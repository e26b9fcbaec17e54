import { open } from 'node:fs/promises'
import { errorCode } from './errors.ts'

/** Makes what was created, renamed or removed in `folder` survive a power cut, in that order. */
export async function syncFolder(folder: string): Promise<void> {
  try {
    await using handle = await open(folder, 'r')
    await handle.sync()
  } catch (error) {
    // Windows cannot sync a folder; NTFS keeps such changes in order by itself. A folder of somebody else's may not be readable.
    if (!['EPERM', 'EISDIR', 'EINVAL', 'EACCES'].includes(errorCode(error) ?? '')) throw error
  }
}
