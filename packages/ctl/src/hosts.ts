/** From the multiaddresses of `--host` to what the client connects to. */
import { parseMultiaddr } from '@ipfs-cluster/api'
import { multiaddr } from '@multiformats/multiaddr'
import { LocalFailure, trying } from './failure.ts'
import type { Io } from './io.ts'
import { checkLibp2pHost } from './libp2p.ts'

export interface HostOptions {
  readonly https: boolean
  readonly secret: Uint8Array | undefined
}

/**
 * The URLs of a comma list, in the order in which they are to be asked. A name stands for all its addresses, but with https: there the
 * certificate is for the name.
 *
 * @throws LocalFailure
 */
export async function hostsOf(
  list: string,
  options: HostOptions,
  io: Pick<Io, 'resolve'>,
): Promise<string[]> {
  const urls: string[] = []
  for (const address of list.split(',')) urls.push(...(await urlsOf(address, options, io)))
  return urls
}

async function urlsOf(
  address: string,
  { https, secret }: HostOptions,
  io: Pick<Io, 'resolve'>,
): Promise<string[]> {
  const text = trying('parsing host multiaddress', () => parseMultiaddr(address))
  if (text.startsWith('/unix/')) return [`unix:${text.slice('/unix'.length)}`]
  const components = multiaddr(text).getComponents()
  const value = (name: string) => components.find(component => component.name === name)?.value
  if (value('p2p') !== undefined || value('dnsaddr') !== undefined) {
    checkLibp2pHost(text, components, secret)
    return [text]
  }
  const ip = value('ip4') ?? value('ip6')
  const name = value('dns4') ?? value('dns6') ?? value('dns')
  const host = ip ?? name
  const port = value('tcp')
  if (host === undefined || port === undefined) {
    const needed = 'an address of an IP or DNS name and a TCP port is needed'
    throw new LocalFailure('creating configs', `${address}: ${needed}`)
  }
  if (https) return [`https://${authority(host)}:${port}`]
  const family = value('dns4') !== undefined ? 4 : value('dns6') !== undefined ? 6 : undefined
  const found = ip === undefined ? await addressesOf(host, family, io) : [ip]
  return found.map(each => `http://${authority(each)}:${port}`)
}

async function addressesOf(name: string, family: 4 | 6 | undefined, io: Pick<Io, 'resolve'>) {
  try {
    return await io.resolve(name, family)
  } catch (cause) {
    throw new LocalFailure('creating configs', new Error(`lookup ${name}: no such host`, { cause }))
  }
}

function authority(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}
