/** Finds the route of a request by Go's rules (gorilla/mux below the API's own redirect of trailing slashes). */
import { cleanSegments } from './content-path.ts'
import type { RouteName } from './route.ts'
import { ROUTES } from './routes.ts'

export type RouteMatch<Name extends string = RouteName> =
  | { readonly kind: 'route'; readonly name: Name; readonly params: Readonly<Record<string, string>> }
  /** To `path` (escaped), to which the caller appends the query of the request. */
  | { readonly kind: 'redirect'; readonly status: 301 | 307; readonly path: string }
  /** 400: the path is not properly escaped. 404: JSON error `not found`. 405: no body. */
  | { readonly kind: 'error'; readonly status: 400 | 404 | 405 }

interface Part {
  /** Name of the parameter, or `null` for a literal. */
  readonly param: string | null
  /** Texts that match; empty for any one segment. */
  readonly texts: readonly string[]
  /** Takes all that is left, nothing included. */
  readonly rest: boolean
}

interface Pattern<Name extends string> {
  readonly name: Name
  readonly method: string
  /** HEAD is answered, too; Go's own routes refuse it. */
  readonly hasHead: boolean
  readonly parts: readonly Part[]
}

/** The same rules for other routes: of each its method, and its path with parameters such as `{cid}`. */
export function routeMatcher<Name extends string>(
  routes: Readonly<Record<Name, { readonly method: string; readonly path: string; readonly kind?: string }>>,
): (method: string, escapedPath: string) => RouteMatch<Name> {
  const patterns = (Object.keys(routes) as Name[]).map((name): Pattern<Name> => {
    const { method, path, kind } = routes[name]
    return { name, method, hasHead: kind === 'car', parts: path.slice(1).split('/').map(compilePart) }
  })
  return (method, escapedPath) => matchPatterns(patterns, method, escapedPath)
}

/** @param escapedPath the path of the request line, without the query. */
export const matchRoute: (method: string, escapedPath: string) => RouteMatch = routeMatcher(ROUTES)

function compilePart(text: string): Part {
  const found = /^\{(\w+)(?::(.+))?\}$/.exec(text)
  if (found === null) return { param: null, texts: [text], rest: false }
  const [, param = '', choice] = found
  if (choice === '.*') return { param, texts: [], rest: true }
  return { param, texts: choice === undefined ? [] : choice.split('|'), rest: false }
}

function matchPatterns<Name extends string>(
  patterns: readonly Pattern<Name>[],
  method: string,
  escapedPath: string,
): RouteMatch<Name> {
  let path: string
  try {
    path = decodeURIComponent(escapedPath)
  } catch {
    return { kind: 'error', status: 400 }
  }
  // A lone slash stays: shortened, it would redirect to itself.
  if (path.endsWith('/') && path !== '/') {
    return { kind: 'redirect', status: 307, path: escapePath(path.slice(0, -1)) }
  }
  const clean = `/${cleanSegments(path).join('/')}`
  if (clean !== path) return { kind: 'redirect', status: 301, path: escapePath(clean) }
  const segments = path.slice(1).split('/')
  let otherMethod = false
  for (const pattern of patterns) {
    const params = matchParts(pattern.parts, segments)
    if (method === 'HEAD' && pattern.hasHead && params !== null) {
      return { kind: 'route', name: pattern.name, params }
    }
    if (pattern.method !== method) otherMethod ||= params !== null
    else if (params !== null) return { kind: 'route', name: pattern.name, params }
    // As gorilla/mux: a later route of the same method, whatever its path, makes a known path unknown.
    else otherMethod = false
  }
  return { kind: 'error', status: otherMethod ? 405 : 404 }
}

function matchParts(parts: readonly Part[], segments: readonly string[]): Record<string, string> | null {
  const last = parts.at(-1)
  if (last?.rest === true ? segments.length < parts.length : segments.length !== parts.length) return null
  const params: Record<string, string> = {}
  for (const [i, part] of parts.entries()) {
    const text = segments[i] ?? ''
    if (part.rest) {
      if (part.param !== null) params[part.param] = segments.slice(i).join('/')
      return params
    }
    if (part.texts.length > 0 ? !part.texts.includes(text) : text === '') return null
    if (part.param !== null) params[part.param] = text
  }
  return params
}

/** As Go's `URL.String` for a path: what may stand in a path stays. A doubled slash at the start would name a host. */
export function escapePath(path: string): string {
  const escaped = path
    .split('/')
    .map(segment => encodeURIComponent(segment).replace(/%(3A|40|24|26|2B|2C|3B|3D)/g, decodeURIComponent))
  return escaped.join('/').replace(/^\/{2,}/, '/')
}
