/** Cross-origin requests, decided as rs/cors 1.11.1 does, which Go uses (reference api.md 1.1). */

export interface CorsConfig {
  /** `*` for all; one `*` inside stands for any text. None: all. */
  readonly allowedOrigins: readonly string[]
  /** None: GET, POST and HEAD. */
  readonly allowedMethods: readonly string[]
  /** `*` for all. None: those that any page may send. */
  readonly allowedHeaders: readonly string[]
  readonly exposedHeaders: readonly string[]
  readonly allowCredentials: boolean
  /** Not sent when 0. */
  readonly maxAgeMs: number
}

/** The headers of a request that matter here, all values of each. */
export interface CorsRequest {
  readonly method: string
  readonly origin: readonly string[]
  readonly requestMethod: readonly string[]
  readonly requestHeaders: readonly string[]
}

export interface CorsDecision {
  /** To be answered with 204 and these headers, and not routed. */
  readonly preflight: boolean
  readonly headers: readonly (readonly [name: string, value: string | readonly string[]])[]
}

export type Cors = (request: CorsRequest) => CorsDecision

const SIMPLE_METHODS = ['GET', 'POST', 'HEAD']
const SIMPLE_HEADERS = ['accept', 'content-type', 'x-requested-with']
const PREFLIGHT_VARY = 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers'
/** Empty items of a list of header names that are put up with. */
const EMPTY_ITEMS_MAX = 16

/** The headers never depend on more than the request shows: a refused origin gets `Vary` alone, and is still served. */
export function createCors(config: CorsConfig): Cors {
  const isOriginAllowed = originMatcher(config.allowedOrigins)
  const methods = config.allowedMethods.length === 0 ? SIMPLE_METHODS : config.allowedMethods
  const isMethodAllowed = (method: string) => method === 'OPTIONS' || methods.includes(method)
  const areHeadersAllowed = headerMatcher(config.allowedHeaders)
  const anyOrigin = config.allowedOrigins.length === 0 || config.allowedOrigins.includes('*')
  const exposed = config.exposedHeaders.map(canonicalName).join(', ')
  const maxAgeS = Math.trunc(config.maxAgeMs / 1000)

  const forOrigin = (origin: string) => [['Access-Control-Allow-Origin', anyOrigin ? '*' : origin]] as const
  const credentials = config.allowCredentials ? ([['Access-Control-Allow-Credentials', 'true']] as const) : []
  return ({ method, origin: [origin = ''], requestMethod: [wanted = ''], requestHeaders }) => {
    const known = origin !== '' && isOriginAllowed(origin)
    if (method === 'OPTIONS' && wanted !== '') {
      const vary = ['Vary', PREFLIGHT_VARY] as const
      if (!known || !isMethodAllowed(wanted) || !areHeadersAllowed(requestHeaders)) {
        return { preflight: true, headers: [vary] }
      }
      const named = (requestHeaders[0] ?? '') !== ''
      return {
        preflight: true,
        headers: [
          vary,
          ...forOrigin(origin),
          ['Access-Control-Allow-Methods', wanted],
          ...(named ? ([['Access-Control-Allow-Headers', requestHeaders]] as const) : []),
          ...credentials,
          ...(maxAgeS > 0 ? ([['Access-Control-Max-Age', String(maxAgeS)]] as const) : []),
        ],
      }
    }
    const vary = ['Vary', 'Origin'] as const
    if (!known || !isMethodAllowed(method)) return { preflight: false, headers: [vary] }
    return {
      preflight: false,
      headers: [
        vary,
        ...forOrigin(origin),
        ...(exposed === '' ? [] : ([['Access-Control-Expose-Headers', exposed]] as const)),
        ...credentials,
      ],
    }
  }
}

/** Without regard to case, as in rs/cors. */
function originMatcher(allowed: readonly string[]): (origin: string) => boolean {
  if (allowed.length === 0 || allowed.includes('*')) return () => true
  const lower = allowed.map(each => each.toLowerCase())
  const plain = new Set(lower.filter(each => !each.includes('*')))
  const wild = lower
    .filter(each => each.includes('*'))
    .map(each => [each.slice(0, each.indexOf('*')), each.slice(each.indexOf('*') + 1)] as const)
  return given => {
    const origin = given.toLowerCase()
    const matches = ([start, end]: readonly [string, string]) =>
      origin.length >= start.length + end.length && origin.startsWith(start) && origin.endsWith(end)
    return plain.has(origin) || wild.some(matches)
  }
}

/** Browsers send the names in lower case, sorted, each once; anything else is refused, as in rs/cors. */
function headerMatcher(allowed: readonly string[]): (lists: readonly string[]) => boolean {
  if (allowed.includes('*')) return () => true
  const names = new Set(allowed.length === 0 ? SIMPLE_HEADERS : allowed.map(each => each.toLowerCase()))
  return lists => {
    let last = ''
    let empty = 0
    for (const item of lists.flatMap(list => list.split(','))) {
      // One blank on each side.
      const name = item.replace(/[ \t]$/, '').replace(/^[ \t]/, '')
      if (name === '') {
        if (++empty > EMPTY_ITEMS_MAX) return false
      } else {
        if (!names.has(name) || name <= last) return false
        last = name
      }
    }
    return true
  }
}

/** `x-stream-output` becomes `X-Stream-Output`; what is no header name stays. */
function canonicalName(name: string): string {
  if (!/^[!#$%&'*+.^_`|~\w-]+$/.test(name)) return name
  return name.toLowerCase().replaceAll(/(^|-)[a-z]/g, start => start.toUpperCase())
}
