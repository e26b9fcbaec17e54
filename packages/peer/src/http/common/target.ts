/** What a request line asks for. */
export interface Target {
  /** Escaped, with its slash. */
  readonly path: string
  /** With its question mark; empty when there is none. */
  readonly query: string
}

/**
 * Splits the target of a request line. An absolute one (`http://host/path`) means its path, whatever host it names (RFC 9112 3.2.2).
 *
 * @returns undefined for what names no path: `*`, and the authority that `CONNECT` comes with.
 */
export function parseTarget(target: string): Target | undefined {
  const origin = target.startsWith('/') ? target : afterAuthority(target)
  if (origin === undefined) return undefined
  const queryAt = origin.indexOf('?')
  const path = queryAt < 0 ? origin : origin.slice(0, queryAt)
  return { path: path === '' ? '/' : path, query: queryAt < 0 ? '' : origin.slice(queryAt) }
}

function afterAuthority(target: string): string | undefined {
  return /^[a-z][a-z\d+.-]*:\/\/[^/?]*(.*)$/is.exec(target)?.[1]
}

/** The path without escapes, or `undefined` where they are broken. */
export function unescapedPath(path: string): string | undefined {
  try {
    return decodeURIComponent(path)
  } catch {
    // That is the answer.
    return undefined
  }
}
