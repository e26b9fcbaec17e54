/** Which requests the cluster answers itself. All others are the daemon's. */
import { add } from './add-handler.ts'
import type { Hijacker } from './call.ts'
import { pinAdd, pinRm, pinUpdate } from './pin-handlers.ts'
import { pinLs } from './pin-ls.ts'
import { blockPut, dagPut } from './put-handlers.ts'
import { repoGC, repoStat } from './repo-handlers.ts'

/** Below `/api/v0`. */
const HIJACKED: Readonly<Record<string, Hijacker>> = {
  '/pin/add': pinAdd,
  '/pin/add/{arg}': pinAdd,
  '/pin/rm': pinRm,
  '/pin/rm/{arg}': pinRm,
  '/pin/ls': pinLs,
  '/pin/ls/{arg}': pinLs,
  '/pin/update': pinUpdate,
  '/add': add,
  '/repo/stat': repoStat,
  '/repo/gc': repoGC,
  '/block/put': blockPut,
  '/dag/put': dagPut,
}

/** Stays the daemon's unless it is to pin. */
const ONLY_WITH_PIN: readonly Hijacker[] = [blockPut, dagPut]

/** Kubo takes POST alone, but some clients still use what it took once. Preflights and the like are the daemon's. */
const METHODS: readonly string[] = ['POST', 'GET', 'PUT']
const PREFIX = '/api/v0'

export interface HijackedRoute {
  /** As in the table, with its prefix. */
  readonly pattern: string
  readonly handle: Hijacker
  readonly query: URLSearchParams
}

/**
 * @param path without escapes, cleaned.
 * @param query of the request; not changed.
 */
export function hijackedRoute(
  method: string,
  path: string,
  query: URLSearchParams,
): HijackedRoute | undefined {
  if (!METHODS.includes(method) || !path.startsWith(`${PREFIX}/`)) return undefined
  const name = path.slice(PREFIX.length)
  const exact = Object.hasOwn(HIJACKED, name) && !name.includes('{') ? HIJACKED[name] : undefined
  if (exact !== undefined) {
    if (ONLY_WITH_PIN.includes(exact) && query.get('pin') !== 'true') return undefined
    return { pattern: path, handle: exact, query }
  }
  const [, command = '', arg = ''] = /^(\/[^/]+\/[^/]+)\/([^/]+)$/.exec(name) ?? []
  const pattern = `${command}/{arg}`
  const handle = Object.hasOwn(HIJACKED, pattern) ? HIJACKED[pattern] : undefined
  if (handle === undefined) return undefined
  const withArg = new URLSearchParams(query)
  withArg.set('arg', arg)
  return { pattern: PREFIX + pattern, handle, query: withArg }
}
