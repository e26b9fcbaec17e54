import { errorMessage, memoize, toHex } from '@ipfs-cluster/base'
import {
  CODE_CERTHASH,
  CODE_P2P,
  multiaddr,
  registry,
  V,
  type Multiaddr as ParsedMultiaddr,
} from '@multiformats/multiaddr'
import { varint } from 'multiformats'
import { ApiError } from './api-error.ts'
import { latin1Bytes, latin1Text } from './base-text.ts'
import { multiaddrReason } from './multiaddr-reason.ts'
import type { Multiaddr } from './types.ts'

/** Addresses remembered in each direction. */
const REMEMBERED_ADDRESSES = 4096
/** Longest address, three times as long as real ones, in bytes and in characters. */
const MAX_ADDRESS = 1024
/** Longest peer id or hash in one, in bytes and in characters: their base58 takes the square of the length. */
const MAX_ID = 128
const LONG_ID_TEXT = /\/(?:p2p|ipfs|certhash)\/[^/]{129}/

interface Known {
  readonly bytes: Uint8Array
  readonly text: Multiaddr
  readonly p2p: boolean
}

const ofText = memoize(REMEMBERED_ADDRESSES, (given: string) => {
  // As Go, which leaves the slashes at the end out of what it names, too.
  let end = given.length
  while (end > 0 && given[end - 1] === '/') end--
  const text = given.slice(0, end)
  try {
    if (text === '') throw new RangeError('empty multiaddr')
    if (text.length > MAX_ADDRESS) throw new RangeError(`more than ${MAX_ADDRESS} characters`)
    if (LONG_ID_TEXT.test(text)) throw new RangeError(`an id of more than ${MAX_ID} characters`)
    return know(multiaddr(escapeSocket(text)))
  } catch (cause) {
    throw badMultiaddr(text, cause instanceof RangeError ? cause : multiaddrReason(text, cause))
  }
})

const ofKey = memoize(REMEMBERED_ADDRESSES, (key: string) => {
  const bytes = latin1Bytes(key)
  try {
    if (bytes.length === 0) throw new RangeError('it is empty')
    checkIds(bytes)
    const known = know(multiaddr(bytes))
    // The library reads values, such as none at all, whose text it does not read: writing such an address again would fail.
    ofText(known.text)
    return known
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
  if (bytes.length > MAX_ADDRESS) {
    throw badMultiaddr(`of ${bytes.length} bytes`, new RangeError(`more than ${MAX_ADDRESS} bytes`))
  }
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

/** @throws when a value in base58 is too long to be one. Anything else is left to the library. */
function checkIds(bytes: Uint8Array): void {
  let at = 0
  while (at < bytes.length) {
    const [code, codeLength] = varint.decode(bytes.subarray(at))
    at += codeLength
    const { size = 0 } = registry.getProtocol(code)
    if (size !== V) {
      at += size / 8
      continue
    }
    const [length, lengthLength] = varint.decode(bytes.subarray(at))
    if ((code === CODE_P2P || code === CODE_CERTHASH) && length > MAX_ID) {
      throw new RangeError(`an id of more than ${MAX_ID} bytes`)
    }
    at += lengthLength + length
  }
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
    p2p: address.getComponents().some(component => component.code === CODE_P2P),
  }
}

function badMultiaddr(text: string, cause: unknown): ApiError {
  const why = errorMessage(cause)
  return new ApiError(
    `failed to parse multiaddr ${JSON.stringify(text)}: ${why}`,
    { code: 'API_BAD_MULTIADDR', text },
    { cause },
  )
}
