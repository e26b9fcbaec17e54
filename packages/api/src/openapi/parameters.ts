/** The query parameters of the API for its OpenAPI document; `../query.ts` reads and writes them. */
import type { JsonSchema } from '../json/index.ts'
import { NAME_MATCHES } from '../pin-filter.ts'
import { TRACKER_STATUS } from '../status.ts'
import { DEFAULT_ADD_PARAMS } from '../types.ts'

export interface QueryParameter {
  readonly name: string
  readonly description: string
  readonly schema: JsonSchema
}

const text: JsonSchema = { type: 'string' }
const integer: JsonSchema = { type: 'integer' }
const flag = (otherwise: boolean): JsonSchema => ({ type: 'boolean', default: otherwise })

function parameter(name: string, schema: JsonSchema, description: string): QueryParameter {
  return { name, description, schema }
}

export const LOCAL: QueryParameter = parameter(
  'local',
  { type: 'string', enum: ['true', 'false'], default: 'false' },
  'Only the peer that is asked. Any text but `true` is false.',
)

export const PIN_TYPES: QueryParameter = parameter(
  'filter',
  { type: 'string', default: 'all' },
  'Types of pins, comma-separated: `pin`, `meta-pin`, `clusterdag-pin`, `shard-pin` or `all`.',
)

export const STATUS_FILTER: QueryParameter = parameter(
  'filter',
  text,
  `Statuses, comma-separated: ${Object.keys(TRACKER_STATUS).join(', ')}. Unknown names are passed over as long as one is known. Has no effect with \`cids\`.`,
)

export const CIDS: QueryParameter = parameter('cids', text, 'Only these CIDs, comma-separated, in any order.')

/** `../pin-filter.ts` reads and writes them. */
export const PIN_LISTING: readonly QueryParameter[] = [
  parameter('name', text, 'Only pins of this name.'),
  parameter(
    'match',
    { type: 'string', enum: [...NAME_MATCHES], default: 'exact' },
    'How `name` is compared: `i` ignores case, `partial` is a part of it.',
  ),
  parameter('meta', text, 'A JSON object of strings: only pins with this metadata.'),
  parameter('peer', text, 'Only pins that the peer with this ID keeps.'),
  parameter('after', { type: 'string', format: 'date-time' }, 'Only pins created then or later (RFC 3339).'),
  parameter('before', { type: 'string', format: 'date-time' }, 'Only pins created then or earlier.'),
  parameter('limit', { type: 'integer', minimum: 1 }, 'At most so many.'),
  parameter(
    'cursor',
    text,
    'What follows this pin: the CID of the last line that came. Where the listing is in the order of names (`match=prefix`) or of times (`after`, ' +
      '`before`), a comma and the name or time of that pin follow.',
  ),
]

export const PIN_PARAMETERS: readonly QueryParameter[] = [
  parameter('name', text, 'A name for people.'),
  parameter(
    'mode',
    { type: 'string', enum: ['recursive', 'direct'], default: 'recursive' },
    'All of the DAG below the CID, or its root block alone. An add is always recursive.',
  ),
  parameter('replication', integer, 'Number of copies: sets the next two, whatever they are.'),
  parameter(
    'replication-min',
    { type: 'integer', default: 0 },
    'Least number of copies, or the pin fails. −1, with a maximum of −1: every peer; 0: as the peer is configured.',
  ),
  parameter('replication-max', { type: 'integer', default: 0 }, 'Wanted number of copies.'),
  parameter(
    'shard-size',
    { type: 'integer', minimum: 0 },
    'Bytes of the blocks of a shard, for sharded adds; 0: 100 MiB.',
  ),
  parameter(
    'user-allocations',
    text,
    'IDs of peers to prefer, comma-separated; those that cannot be read are dropped.',
  ),
  parameter('expire-at', { type: 'string', format: 'date-time' }, 'When to unpin it (RFC 3339).'),
  parameter(
    'expire-in',
    text,
    'After how long to unpin it, as a Go duration (`1h30m`) of one second or more. Not read beside `expire-at`.',
  ),
  parameter(
    'metadata',
    { type: 'object', propertyNames: { pattern: '^meta-.' }, additionalProperties: text },
    'Any number of `meta-<key>=<value>`: metadata of the pin.',
  ),
  parameter(
    'pin-update',
    text,
    'CID of a pin to take options and allocations from: IPFS only fetches what differs. Has no effect on an add.',
  ),
  parameter(
    'origins',
    text,
    'Multiaddresses with `/p2p/<id>` of IPFS peers that have the content, comma-separated, to connect to first.',
  ),
  parameter(
    'size',
    text,
    'Bytes of the content, or a text such as `10GB`, where you know: peers with less free space are not chosen. An add knows itself.',
  ),
  parameter(
    'max-pin-size',
    text,
    'Bytes, or a text such as `10GB`: peers refuse content that is larger, and stop when it turns out so. 0, or beyond what a peer is configured with: its own limit.',
  ),
]

export const ADD_PARAMETERS: readonly QueryParameter[] = [
  ...PIN_PARAMETERS,
  parameter('layout', { type: 'string', enum: ['balanced', 'trickle'], default: 'balanced' }, 'Of the DAG.'),
  parameter(
    'chunker',
    { type: 'string', default: DEFAULT_ADD_PARAMS.chunker },
    'How files are cut: `size-<bytes>`, `rabin`, `rabin-<avg>`, `rabin-<min>-<avg>-<max>` or `buzhash`.',
  ),
  parameter('hash', { type: 'string', default: DEFAULT_ADD_PARAMS.hashFun }, 'Name of the hash function.'),
  parameter('cid-version', { type: 'integer', default: 0 }, '0 or 1; 1 implies `raw-leaves`.'),
  parameter('raw-leaves', flag(false), 'Leaves are blocks of bytes alone.'),
  parameter(
    'format',
    { type: 'string', enum: ['unixfs', 'car'], default: 'unixfs' },
    'Files and folders, or one CAR file with one root, whose blocks are taken as they are.',
  ),
  parameter('wrap-with-directory', flag(false), 'Put everything into a folder.'),
  parameter(
    'local',
    flag(false),
    'Write blocks to the IPFS daemon of the peer that is asked, then pin as usual.',
  ),
  parameter('recursive', flag(false), 'For programs that read folders; has no effect here.'),
  parameter('hidden', flag(false), 'For programs that read folders; has no effect here.'),
  parameter(
    'shard',
    flag(false),
    'Cut the DAG into shards of `shard-size` bytes, each kept by peers of its own: for content that no single peer has room for.',
  ),
  parameter('progress', flag(false), 'Say how many bytes have been read, every now and then.'),
  parameter(
    'stream-channels',
    flag(true),
    'Answer while reading, one object a line. If false: one list at the end, and a status that tells whether it worked.',
  ),
  parameter('nocopy', flag(false), 'For IPFS daemons with a filestore.'),
  parameter('no-pin', flag(false), 'Write blocks, but do not pin.'),
  parameter(
    'require-complete',
    flag(false),
    'Refuse a CAR file that lacks blocks of its DAG, and pin nothing. Else they are counted in the answer, and the IPFS daemons look for them.',
  ),
]
