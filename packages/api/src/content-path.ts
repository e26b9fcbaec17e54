import { badParameter } from './api-error.ts'
import { parseCid } from './cid.ts'

/**
 * Checks and cleans `/ipfs/<cid>[/…]`, `/ipld/<cid>[/…]` or `/ipns/<name>[/…]`: `.`, `..` and doubled slashes are resolved, and a
 * slash at the end goes.
 *
 * @throws ApiError `BAD_PARAMETER`
 */
export function parseContentPath(text: string): string {
  const segments = cleanSegments(text)
  const [namespace = '', root] = segments
  const invalid = (why: string, cause?: unknown) =>
    badParameter(`invalid path ${JSON.stringify(text)}: ${why}`, cause)
  if (!text.startsWith('/') || root === undefined) throw invalid('path does not have enough components')
  if (namespace === 'ipfs' || namespace === 'ipld') {
    try {
      parseCid(root)
    } catch (cause) {
      throw invalid(cause instanceof Error ? cause.message : String(cause), cause)
    }
  } else if (namespace !== 'ipns') {
    throw invalid(`unknown namespace: ${JSON.stringify(namespace)}`)
  }
  return `/${segments.join('/')}`
}

/** The segments of a path after resolving `.`, `..` and empty ones. */
export function cleanSegments(path: string): string[] {
  const out: string[] = []
  for (const segment of path.split('/')) {
    if (segment === '..') out.pop()
    else if (segment !== '' && segment !== '.') out.push(segment)
  }
  return out
}
