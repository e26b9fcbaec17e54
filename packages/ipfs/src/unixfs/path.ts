import type { CID } from 'multiformats/cid'
import { parseCid } from '../cid-text.ts'
import { badPath } from '../errors.ts'

export interface ContentPath {
  readonly root: CID
  /** Names below the root; any text without a slash. */
  readonly names: readonly string[]
}

/**
 * Reads `/ipfs/CID/a/b`, `CID/a/b` or a bare CID.
 *
 * @throws IpfsNodeError `IPFS_BAD_PATH`
 */
export function parseContentPath(path: string): ContentPath {
  const parts = path.split('/').filter(part => part !== '')
  if (path.startsWith('/') && parts[0] === 'ipns') {
    throw badPath(
      path,
      'the built-in IPFS node does not resolve /ipns names; resolve it elsewhere and use /ipfs',
    )
  }
  if (path.startsWith('/')) {
    if (parts[0] !== 'ipfs') throw badPath(path, 'an absolute path starts with /ipfs/')
    parts.shift()
  }
  const [root, ...names] = parts
  if (root === undefined) throw badPath(path, 'it names no CID')
  try {
    return { root: parseCid(root), names }
  } catch (cause) {
    throw badPath(path, `${JSON.stringify(root)} is not a CID`, cause)
  }
}
