/** `PinStatus` of the specification, out of a pin and what the peers say of it. */
import {
  cidText,
  formatTime,
  isPinEverywhere,
  TRACKER_STATUS,
  type GlobalPinInfo,
  type Multiaddr,
  type PeerId,
  type Pin,
  type PinInfoShort,
} from '@ipfs-cluster/api'
import type { AbortOptions } from '@ipfs-cluster/base'
import type { Cluster } from '../../cluster/index.ts'
import { listingTime } from '../../state/index.ts'
import type { PinFound } from './listing.ts'
import type { PinStatusName } from './types.ts'

/** Of the specification. */
const DELEGATES_MAX = 20
/** Peers whose errors are told. */
const ERRORS_SHOWN = 3
const ERROR_CHARS = 300
/** Of Go's constant `info`: what clients of Go peers may look for. */
const INFO = {
  source: 'IPFS cluster API',
  warning1: 'CID used for requestID. Conflicts possible',
}

export interface PinObjectComponents {
  readonly cluster: Pick<Cluster, 'id'>
  /** Peers of the cluster. */
  readonly members: () => readonly PeerId[]
  /** Addresses (with /p2p) of the IPFS daemon of a peer, as far as they are known. */
  readonly ipfsAddressesOf: (peer: PeerId) => readonly Multiaddr[]
}

export interface PinObject {
  readonly requestid: string
  readonly status: PinStatusName
  readonly created: string
  readonly pin: {
    readonly cid: string
    readonly name?: string
    readonly origins?: readonly Multiaddr[]
    readonly meta?: Readonly<Record<string, string>>
  }
  readonly delegates: readonly Multiaddr[]
  readonly info: Readonly<Record<string, string>>
}

export interface PinObjects {
  /** Of a pin just submitted. */
  submitted(pin: Pin, options: AbortOptions): Promise<PinObject>
  of(found: readonly PinFound[], options: AbortOptions): Promise<PinObject[]>
}

export function createPinObjects({ cluster, members, ipfsAddressesOf }: PinObjectComponents): PinObjects {
  /** Addresses of our own daemon that it tells nobody else: better than none for a client on the same machine or network. */
  const ownAddresses = async (options: AbortOptions) => (await cluster.id(options)).ipfs.addresses

  const make = async (
    all: readonly { pin: Pin; status: PinStatusName; details: Info }[],
    options: AbortOptions,
  ) => {
    const delegates = all.map(({ pin }) =>
      delegatesAmong((isPinEverywhere(pin) ? members() : pin.allocations).map(ipfsAddressesOf)),
    )
    const own = delegates.some(({ length }) => length === 0) ? await ownAddresses(options) : []
    return all.map(({ pin, status, details }, i): PinObject => {
      const known = delegates[i] ?? []
      return {
        requestid: cidText(pin.cid),
        status,
        created: formatTime(listingTime(pin)),
        pin: pinOf(pin),
        delegates: known.length > 0 ? known : delegatesAmong([own]),
        info: { ...INFO, ...details },
      }
    })
  }

  return {
    async submitted(pin, options) {
      const [object] = await make([{ pin, status: 'queued', details: {} }], options)
      if (object === undefined) throw new Error('invariant broken: no object of a pin')
      return object
    },
    of: (found, options) =>
      make(
        found.map(({ pin, status, info }) => ({ pin, status, details: detailsOf(pin, status, info) })),
        options,
      ),
  }
}

function pinOf({ cid, name, origins, metadata }: Pin): PinObject['pin'] {
  return {
    cid: cidText(cid),
    ...(name !== '' && { name }),
    ...(origins.length > 0 && { origins }),
    ...(Object.keys(metadata).length > 0 && { meta: metadata }),
  }
}

/** In turn from each peer, so that each has one of the first. */
function delegatesAmong(lists: readonly (readonly Multiaddr[])[]): Multiaddr[] {
  const delegates = new Set<Multiaddr>()
  const longest = Math.max(0, ...lists.map(({ length }) => length))
  for (let i = 0; i < longest; i++) {
    for (const list of lists) {
      const address = list[i]
      if (address?.includes('/p2p/') === true) delegates.add(address)
      if (delegates.size >= DELEGATES_MAX) return [...delegates]
    }
  }
  return [...delegates]
}

type Info = Readonly<Record<string, string>>

function detailsOf(pin: Pin, status: PinStatusName, { peerMap }: GlobalPinInfo): Info {
  const peers = Object.entries(peerMap)
  const size = pin.size ?? peers.map(([, info]) => info.size).find(each => each !== undefined)
  const details = peers.flatMap(([peer, info]) => detailOf(peer, info, status) ?? []).slice(0, ERRORS_SHOWN)
  return {
    ...(details.length > 0 && { status_details: details.join('; ') }),
    ...(size !== undefined && { dag_size: String(size) }),
  }
}

function detailOf(peer: PeerId, info: PinInfoShort, status: PinStatusName): string | undefined {
  const who = info.peerName === '' ? peer : info.peerName
  if ((info.status & TRACKER_STATUS.error) !== 0) {
    return `${who}: ${info.error === '' ? 'failed' : info.error.slice(0, ERROR_CHARS)}`
  }
  if (status !== 'pinning' || info.progress === undefined) return undefined
  const { bytes, totalBytes } = info.progress
  return `${who}: ${bytes}${totalBytes === undefined ? '' : ` of ${totalBytes}`} bytes`
}
