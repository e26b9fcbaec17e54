/** Why a text is no multiaddr, in the words of Go (go-multiaddr) for the protocols that people write. */
import { errorMessage } from '@ipfs-cluster/base'
import { multiaddr, registry } from '@multiformats/multiaddr'
import { parsePeerId } from './peer-id.ts'

/**
 * @param text without slashes at its end.
 * @param cause what the library said, for what is not known better.
 */
export function multiaddrReason(text: string, cause: unknown): Error {
  return new Error(reasonOf(text) ?? errorMessage(cause), { cause })
}

function reasonOf(text: string): string | undefined {
  if (!text.startsWith('/')) return 'must begin with /'
  const parts = text.slice(1).split('/')
  while (parts.length > 0) {
    const name = parts.shift() ?? ''
    const takesValue = valueOf(name)
    if (takesValue === undefined) return `unknown protocol ${name}`
    if (!takesValue) continue
    const value = parts.shift()
    if (value === undefined) return 'unexpected end of multiaddr'
    const why = valueReason(name, value)
    if (why !== undefined) return `invalid value ${JSON.stringify(value)} for protocol ${name}: ${why}`
  }
  return undefined
}

/** Whether the protocol takes a value; `undefined` when there is no such protocol. */
function valueOf(name: string): boolean | undefined {
  try {
    return (registry.getProtocol(name).size ?? 0) !== 0
  } catch {
    // What the library throws for an unknown name.
    return undefined
  }
}

function valueReason(name: string, value: string): string | undefined {
  if (name === 'tcp' || name === 'udp') {
    const failed = `failed to parse port addr: strconv.ParseUint: parsing ${JSON.stringify(value)}`
    if (!/^\d+$/.test(value)) return `${failed}: invalid syntax`
    return Number(value) > 65_535 ? `${failed}: value out of range` : undefined
  }
  try {
    if (name === 'p2p' || name === 'ipfs') parsePeerId(value)
    else if (name === 'ip4' || name === 'ip6') multiaddr(`/${name}/${value}`)
    return undefined
  } catch (error) {
    const why = errorMessage(error).replace('failed to parse peer ID:', value)
    return `failed to parse ${name} addr: ${name.startsWith('ip') && name !== 'ipfs' ? value : why}`
  }
}
