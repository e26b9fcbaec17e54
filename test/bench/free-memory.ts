/** The memory that is free before something is measured. */
import { execFile } from 'node:child_process'
import { freemem } from 'node:os'
import { promisify } from 'node:util'

/** Many times what an upload of 256 MiB takes, in client, peer and files: which pages the system hands out first is its own affair. */
const ENOUGH_BYTES = 4 * 1024 ** 3

/**
 * Uses free memory once and frees it again. Under a virtual machine that is what makes its host provide it: otherwise whoever is the first to
 * write to a page waits for the host, a second for 256 MiB of files, and of two that are compared the one that runs later is the faster.
 */
export async function touchFreeMemory(): Promise<void> {
  const bytes = Math.min(ENOUGH_BYTES, Math.floor(freemem() / 2))
  await promisify(execFile)(process.execPath, ['-e', `Buffer.alloc(${bytes}, 1)`])
}
