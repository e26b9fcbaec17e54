/** The lines of `POST /pins` and `DELETE /pins`: what is asked of many CIDs in one request, one JSON document a line. */
import type { CID } from 'multiformats/cid'
import { badParameter } from './api-error.ts'
import { cidText, parseCid, usualCid } from './cid.ts'
import { parseJson, pinOptionMembers, pinOptionsOver } from './json/index.ts'
import { hasPeerId } from './multiaddr.ts'
import { attempt } from './query.ts'
import type { PinOptions } from './types.ts'

/** Characters of a line: far above what options can take in the query of a single request. */
export const MAX_BULK_LINE = 128 * 1024

/** One line of `POST /pins`. */
export interface PinRequest {
  readonly cid: CID
  readonly options: PinOptions
}

const BARE_HEAD = '{"cid":"'
const BARE_TAIL = '"}'

/**
 * Reads a line of `POST /pins`: the text of a CID in quotes, or an object with a `cid` and the fields of pin options, which go before
 * `defaults`. Entries of `GET /allocations` can be given as they are, when they are no parts of sharded content.
 *
 * @returns with `defaults` itself as its options when the line has none.
 * @throws ApiError `BAD_PARAMETER`
 */
export function parsePinLine(line: string, defaults: PinOptions): PinRequest {
  const cid = bareCid(line)
  if (cid !== null) return { cid, options: defaults }
  const value = parseLine(line)
  if (typeof value === 'string') return { cid: readCid(value), options: defaults }
  const options = attempt('error decoding pin options', () => pinOptionsOver(value, defaults))
  if (options !== defaults && !options.origins.every(hasPeerId)) {
    throw badParameter('multiaddress does not contain peer ID: protocol not found in multiaddr')
  }
  const { type = 'pin' } = value
  if (type !== 'pin') throw badParameter(`only entries of type pin can be pinned, not ${String(type)}`)
  return { cid: readCid(value['cid']), options }
}

/** Reads a line of `DELETE /pins`: as that of a pin, but only the CID counts. @throws ApiError `BAD_PARAMETER` */
export function parseUnpinLine(line: string): CID {
  const cid = bareCid(line)
  if (cid !== null) return cid
  const value = parseLine(line)
  return readCid(typeof value === 'string' ? value : value['cid'])
}

/** A line for `parsePinLine`, of as few fields as `fields` has. */
export function writePinLine(cid: CID, fields: Partial<PinOptions> = {}): string {
  const members = pinOptionMembers(fields)
  return `${BARE_HEAD}${cidText(cid)}"${members === '' ? '' : `,${members}`}}`
}

/** The lines of answers to lines that went well; the fastest way to write them. */
export function writeDone(cid: CID): string {
  return `${BARE_HEAD}${cidText(cid)}${BARE_TAIL}\n`
}

/** What a line that cannot be read calls its CID; empty where it does not say. */
export function claimedCid(line: string): string {
  try {
    const value = parseLine(line)
    const cid = typeof value === 'string' ? value : value['cid']
    return typeof cid === 'string' ? cid.slice(0, MAX_CLAIMED) : ''
  } catch {
    // Not even JSON.
    return ''
  }
}

/** Characters of a wrong CID that are repeated to who sent it. */
const MAX_CLAIMED = 128

/** The CID of a line that has nothing else, in the usual spelling; by hand, because it is what millions of lines are. */
function bareCid(line: string): CID | null {
  if (line.startsWith(BARE_HEAD) && line.endsWith(BARE_TAIL)) {
    return usualCid(line.slice(BARE_HEAD.length, -BARE_TAIL.length))
  }
  return line.startsWith('"') && line.endsWith('"') ? usualCid(line.slice(1, -1)) : null
}

function parseLine(line: string): string | Readonly<Record<string, unknown>> {
  const value = attempt('error decoding the line', () => parseJson(line))
  if (typeof value === 'string') return value
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Readonly<Record<string, unknown>>
  }
  throw badParameter('error decoding the line: neither a CID in quotes nor an object with one')
}

function readCid(text: unknown): CID {
  if (typeof text !== 'string') throw badParameter('error decoding Cid: the line has no "cid"')
  return attempt('error decoding Cid', () => parseCid(text))
}
