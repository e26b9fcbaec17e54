/** Flags of commands that list pins: which of them, and how many. */
import {
  NAME_MATCHES,
  pinListingFromQuery,
  type PinFilter,
  type PinListing,
  type PinOrder,
} from '@ipfs-cluster/api'
import { integer, text, texts } from '@ipfs-cluster/base/cli'
import { trying } from '../failure.ts'
import { metadataOf } from './shared.ts'

export const listingFlags = {
  name: text('name', 'Only pins of this name'),
  match: text('match', 'What --name is compared with', 'exact', { choices: [...NAME_MATCHES] }),
  metadata: texts('metadata', 'Only pins with this metadata: key=value; may be repeated'),
  peer: text('peer', 'Only pins that this peer keeps (its ID)'),
  after: text('after', 'Only pins created then or later, such as 2026-01-31T12:00:00Z'),
  before: text('before', 'Only pins created then or earlier'),
  limit: integer('limit', 'Show at most so many'),
  cursor: text('cursor', 'Show what follows this CID; in order of names or times, with ",<name or time>"'),
}

export interface ListingValues {
  readonly name: string
  readonly match: string
  readonly metadata: readonly string[]
  readonly peer: string
  readonly after: string
  readonly before: string
  readonly limit: number
  readonly cursor: string
}

/** @param order of the listing, for its cursor. @throws LocalFailure */
export function listingOf(values: ListingValues, order?: (filter: PinFilter) => PinOrder): PinListing {
  const { name, match, metadata, peer, after, before, limit, cursor } = values
  const query = new URLSearchParams({ name, peer, after, before, cursor })
  if (match !== 'exact') query.set('match', match)
  if (metadata.length > 0) query.set('meta', JSON.stringify(metadataOf(metadata)))
  if (limit !== 0) query.set('limit', String(limit))
  return trying('parsing flags', () => pinListingFromQuery(query, order))
}
