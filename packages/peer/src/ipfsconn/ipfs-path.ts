import { parseCid } from '@ipfs-cluster/api'
import { errorMessage } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { badPath } from './errors.ts'

/** A path of the IPFS namespaces, checked as far as it can be without asking anybody. */
export interface IpfsPath {
  /** Cleaned text, from `/ipfs/`, `/ipns/` or `/ipld/` on. */
  readonly text: string
  /** Set when the path is nothing but a CID: no need to resolve. */
  readonly cid: CID | undefined
}

/**
 * Reads `/ipfs/<cid>/a/b`, `/ipld/<cid>/…`, `/ipns/<name>/…`, or the same without a namespace, which then is `/ipfs/`
 * (rules: boxo `path.NewPath`).
 *
 * @throws IpfsError `IPFS_BAD_PATH`
 */
export function parseIpfsPath(path: string): IpfsPath {
  const segments = cleanSegments(path)
  const named = path.startsWith('/') && /^(ipfs|ipns|ipld)$/.test(segments[0] ?? '')
  const [namespace = 'ipfs', root, ...rest] = named ? segments : ['ipfs', ...segments]
  if (root === undefined) throw badPath(path, 'path does not have enough components')
  const text = `/${[namespace, root, ...rest].join('/')}`
  if (namespace === 'ipns') return { text, cid: undefined }
  const cid = parseRoot(path, root)
  return { text, cid: rest.length === 0 ? cid : undefined }
}

/** `.` and empty segments vanish, `..` takes the one before with it. */
function cleanSegments(path: string): string[] {
  const out: string[] = []
  for (const segment of path.split('/')) {
    if (segment === '' || segment === '.') continue
    if (segment === '..') out.pop()
    else out.push(segment)
  }
  return out
}

function parseRoot(path: string, root: string): CID {
  try {
    return parseCid(root)
  } catch (cause) {
    const error = badPath(path, errorMessage(cause))
    error.cause = cause
    throw error
  }
}
