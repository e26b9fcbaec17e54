/** `pin/add`, `pin/rm`, `pin/update` (reference api.md 2). */
import { cidText, DEFAULT_PIN_OPTIONS, parseContentPath } from '@ipfs-cluster/api'
import { errorMessage } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { sendJson } from '../common/index.ts'
import type { Hijacker } from './call.ts'
import { badRequest } from './errors.ts'

/** Only the first argument counts. Of the options, `type` alone: Kubo's `recursive`, `progress` and `name` do nothing, as in Go. */
export const pinAdd: Hijacker = async ({ cluster, query, response, signal }) => {
  const path = contentPath(query.get('arg') ?? '', 'Error parsing IPFS Path')
  const options = { ...DEFAULT_PIN_OPTIONS, mode: modeOf(query) }
  const pin = await cluster.pinPath(path, options, { signal })
  sendJson(response, 200, pinsBody([pin.cid]))
}

export const pinRm: Hijacker = async ({ cluster, query, response, signal }) => {
  const path = contentPath(query.get('arg') ?? '', 'Error parsing IPFS Path')
  const pin = await cluster.unpinPath(path, { signal })
  sendJson(response, 200, pinsBody([pin.cid]))
}

export const pinUpdate: Hijacker = async ({ cluster, ipfs, query, response, signal }) => {
  const [from, to] = query.getAll('arg')
  if (from === undefined) throw badRequest('argument "from-path" is required', 400)
  if (to === undefined) throw badRequest('argument "to-path" is required', 400)
  const fromPath = contentPath(from, 'error parsing "from-path" argument')
  const toPath = contentPath(to, 'error parsing "to-path" argument')
  const fromCid = await ipfs.resolve(fromPath, { signal })
  const pin = await cluster.pinPath(toPath, { ...DEFAULT_PIN_OPTIONS, pinUpdate: fromCid }, { signal })
  // Both may be the same content: then it is to stay, as Kubo has it.
  if (query.get('unpin') !== 'false' && !pin.cid.equals(fromCid)) await cluster.unpin(fromCid, { signal })
  sendJson(response, 200, pinsBody([fromCid, pin.cid]))
}

/** A path, or a CID with or without more behind it. */
function contentPath(text: string, doing: string): string {
  try {
    return parseContentPath(text)
  } catch (cause) {
    try {
      return parseContentPath(`/ipfs/${text}`)
    } catch {
      // The first error is about what was given.
      throw badRequest(`${doing}: ${errorMessage(cause)}`, 500, cause)
    }
  }
}

function modeOf(query: URLSearchParams): 'direct' | 'recursive' {
  return query.get('type') === 'direct' ? 'direct' : 'recursive'
}

function pinsBody(cids: readonly CID[]): string {
  return JSON.stringify({ Pins: cids.map(cidText) })
}
