import type { Multiaddr, Time } from '@ipfs-cluster/api'
import type { CID } from 'multiformats/cid'

/** Named as in the specification. */
export const PIN_STATUSES = ['queued', 'pinning', 'pinned', 'failed'] as const

export type PinStatusName = (typeof PIN_STATUSES)[number]

/** How a name is compared. */
export const NAME_STRATEGIES = ['exact', 'iexact', 'partial', 'ipartial'] as const

/** A `Pin` of the specification, as a client asks for it. */
export interface PinAsked {
  readonly cid: CID
  readonly name: string
  readonly origins: readonly Multiaddr[]
  readonly metadata: Readonly<Record<string, string>>
}

/** What `GET /pins` asks for; all of it must hold. */
export interface ListQuery {
  /** Empty: any. */
  readonly cids: readonly CID[]
  /** Empty: any. */
  readonly name: string
  readonly match: (typeof NAME_STRATEGIES)[number]
  readonly metadata: Readonly<Record<string, string>>
  readonly statuses: ReadonlySet<PinStatusName>
  readonly before: Time
  readonly after: Time
  readonly limit: number
}
