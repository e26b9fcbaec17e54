/** A disk of a few megabytes that can be filled and emptied: a tmpfs, which only root can mount (Linux). */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { mkdtemp, open, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { errorCode } from '@ipfs-cluster/base'

const MIB = 1024 * 1024

export interface SmallDisk extends AsyncDisposable {
  readonly folder: string
  /** Takes all space but so much. */
  fill(leaveBytes: number): Promise<void>
  /** Gives it back. */
  free(): Promise<void>
}

/** Why there can be none here; `undefined` when there can. */
export function noSmallDisk(): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'mount-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { stdio: 'ignore' })
    execFileSync('umount', [folder], { stdio: 'ignore' })
    return undefined
  } catch {
    return 'only root may mount a tmpfs (Linux); run it as root, or in a container with CAP_SYS_ADMIN'
  } finally {
    rmSync(folder, { recursive: true })
  }
}

export async function smallDisk(mebibytes: number): Promise<SmallDisk> {
  const folder = await mkdtemp(join(tmpdir(), 'disk-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', folder])
  const filler = join(folder, 'filler')
  return {
    folder,
    async fill(leaveBytes) {
      const { bavail, bsize } = await statfs(folder)
      await using file = await open(filler, 'a')
      try {
        for (let left = bavail * bsize - leaveBytes; left > 0; left -= MIB) {
          await file.write(Buffer.alloc(Math.min(MIB, left), 1))
        }
      } catch (error) {
        // Others that write were quicker: full it is.
        if (errorCode(error) !== 'ENOSPC') throw error
      }
    },
    free: () => rm(filler, { force: true }),
    async [Symbol.asyncDispose]() {
      execFileSync('umount', ['-l', folder])
      await rm(folder, { recursive: true })
    },
  }
}
