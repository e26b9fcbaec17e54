import { toHex } from '@ipfs-cluster/base'
import { multiaddr, type Multiaddr as ParsedMultiaddr } from '@multiformats/multiaddr'
import { ApiError } from './api-error.ts'
import { latin1Bytes, latin1Text } from './base-text.ts'
import { memoize } from './memo.ts'
import type { Multiaddr } from './types.ts'

/** Addresses remembered in each direction. */
const REMEMBERED_ADDRESSES = 4096
const P2P = 421

interface Known {
  readonly bytes: Uint8Array
  readonly text: Multiaddr
  readonly p2p: boolean
}

const ofText = memoize(REMEMBERED_ADDRESSES, (text: string) => {
  try {
    if (!text.startsWith('/') || text === '/') throw new RangeError('must begin with /')
    return know(multiaddr(escapeSocket(text)))
  } catch (cause) {
    throw badMultiaddr(text, cause)
  }
})

const ofKey = memoize(REMEMBERED_ADDRESSES, (key: string) => {
  const bytes = latin1Bytes(key)
  try {
    if (bytes.length === 0) throw new RangeError('it is empty')
    return know(multiaddr(bytes))
  } catch (cause) {
    throw badMultiaddr(`0x${toHex(bytes)}`, cause)
  }
})

/** The binary form; do not change the returned bytes. @throws ApiError `API_BAD_MULTIADDR` */
export function multiaddrBytes(text: Multiaddr): Uint8Array {
  return ofText(text).bytes
}

/** The usual text of a binary multiaddr. @throws ApiError `API_BAD_MULTIADDR` */
export function multiaddrText(bytes: Uint8Array): Multiaddr {
  return ofKey(latin1Text(bytes)).text
}

/** The usual text of a multiaddr: checked, and with aliases such as `/ipfs/<peer>` resolved. @throws ApiError `API_BAD_MULTIADDR` */
export function parseMultiaddr(text: string): Multiaddr {
  return ofText(text).text
}

/** True when the address names a peer with `/p2p/<id>`. @throws ApiError `API_BAD_MULTIADDR` */
export function hasPeerId(text: Multiaddr): boolean {
  return ofText(text).p2p
}

const UNIX = '/unix'

/** Go writes the path of a Unix socket as it is, up to the end of the address; the library wants it escaped as one segment. */
function escapeSocket(text: string): string {
  const at = text.indexOf(`${UNIX}/`)
  if (at < 0) return text
  const path = text.slice(at + UNIX.length)
  return /^\/%2[fF]/.test(path) ? text : `${text.slice(0, at)}${UNIX}/${encodeURIComponent(path)}`
}

function unescapeSocket(text: string): string {
  const at = text.indexOf(`${UNIX}/`)
  if (at < 0) return text
  const path = decodeURIComponent(text.slice(at + UNIX.length + 1))
  return text.slice(0, at) + UNIX + (path.startsWith('/') ? path : `/${path}`)
}

function know(address: ParsedMultiaddr): Known {
  return {
    bytes: address.bytes,
    text: unescapeSocket(address.toString()),
    p2p: address.getComponents().some(component => component.code === P2P),
  }
}

function badMultiaddr(text: string, cause: unknown): ApiError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new ApiError(
    `failed to parse multiaddr ${JSON.stringify(text)}: ${why}`,
    { code: 'API_BAD_MULTIADDR', text },
    { cause },
  )
}
