/**
 * Which requests of a browser may pass (go-ipfs-cmds `http/config.go`). A page of somebody else's makes the user's browser ask
 * here, by a name that leads to this address if need be; its requests tell where they come from, and are refused.
 */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'

export function mayPass(headers: IncomingHttpHeaders, allowed: readonly string[]): boolean {
  const { origin = '', referer = '' } = headers
  const isAllowed = (from: string) => allowed.includes('*') || allowed.includes(from)
  if (origin !== '' && !isAllowed(origin)) return false
  if (referer !== '' && !isAllowed(originOf(referer))) return false
  if (origin !== '' || referer !== '') return true
  // A browser that tells neither.
  const agent = headers['user-agent'] ?? ''
  return agent.includes('Electron') || !agent.startsWith('Mozilla')
}

/** Answers `OPTIONS`: the question of a browser before its request, or of anybody for the methods. */
export function answerOptions(
  { headers }: IncomingMessage,
  response: ServerResponse,
  allowed: readonly string[],
): void {
  const { origin } = headers
  if (origin === undefined || headers['access-control-request-method'] === undefined) {
    response.setHeader('Allow', 'OPTIONS, POST')
  } else {
    response.setHeader('Vary', 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers')
    if (allowed.includes('*') || allowed.includes(origin)) {
      response.setHeader('Access-Control-Allow-Origin', allowed.includes('*') ? '*' : origin)
      response.setHeader('Access-Control-Allow-Methods', 'POST')
      const wanted = headers['access-control-request-headers']
      if (wanted !== undefined) response.setHeader('Access-Control-Allow-Headers', wanted)
    }
  }
  response.writeHead(204).end()
}

/** For every other answer. */
export function addOriginHeaders(
  { headers: { origin } }: IncomingMessage,
  response: ServerResponse,
  allowed: readonly string[],
): void {
  response.setHeader('Vary', 'Origin')
  if (origin === undefined) return
  if (allowed.includes('*')) response.setHeader('Access-Control-Allow-Origin', '*')
  else if (allowed.includes(origin)) response.setHeader('Access-Control-Allow-Origin', origin)
}

function originOf(referer: string): string {
  try {
    return new URL(referer).origin
  } catch {
    // No address: of nobody who is allowed.
    return ''
  }
}
