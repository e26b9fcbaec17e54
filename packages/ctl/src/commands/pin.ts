import { DEFAULT_PIN_OPTIONS, parsePinTypeBits, type PinOptions } from '@ipfs-cluster/api'
import { command, group, integer, text, texts, type Flag, type Parsed } from '@ipfs-cluster/base/cli'
import { LocalFailure } from '../failure.ts'
import { pinShape, submittedPinShape } from '../format.ts'
import type { Session } from '../session.ts'
import { fromFileFlag, pinFromFile, unpinFromFile } from './from-file.ts'
import { listingFlags, listingOf } from './listing.ts'
import { allocationsOf, expiryOf, finishPin, metadataOf, readCid, sizesOf, waitFlags } from './shared.ts'

/** Values of `pin ls --filter`. */
const TYPES = ['all', 'pin', 'meta-pin', 'clusterdag-pin', 'shard-pin']

/** @throws LocalFailure when what else is given means one pin. */
function isFromFile({ values, args, given }: Parsed<typeof waitFlags & { fromFile: Flag<string> }>): boolean {
  if (values.fromFile === '') return false
  if (args.length > 0) throw new LocalFailure('', 'give a CID or --from-file, not both')
  if (values.wait || given.has('waitLimit') || given.has('waitTimeout')) {
    throw new LocalFailure('', '--wait is for one pin: with --from-file look at "status"')
  }
  return true
}

const add = command({
  name: 'add',
  usage: 'Pin a CID or path',
  argsUsage: '<CID|Path>',
  description: `Makes the cluster keep what is below a CID: it becomes part of the pinset, is allocated to
peers, and their IPFS daemons fetch it. Paths (/ipfs/..., /ipns/...) are resolved once.

Prints the status a moment later. Replication factors: -1 is every peer, 0 the default of
the cluster, more than that a number of copies. Peers named with --allocations come first
when peers are chosen; the factors still hold.

With --from-file many are pinned in one go, with the options of the other flags. A line is a
CID, or a JSON object with a "cid" and options of its own as "pin ls" prints them with
--enc json, on one line. Blank lines and those that start with # are passed over. What fails
is told with its line, and the rest goes on.`,
  flags: {
    replication: integer('replication, r', 'Number of copies; overrides the two below'),
    replicationMin: integer('replication-min, rmin', 'Least number of copies'),
    replicationMax: integer('replication-max, rmax', 'Wanted number of copies'),
    allocations: text('allocations, allocs', 'IDs of peers to prefer, comma-separated'),
    name: text('name, n', 'Name of the pin'),
    mode: text('mode', 'recursive, or direct: only the block itself', 'recursive', {
      choices: ['recursive', 'direct'],
    }),
    expireIn: text('expire-in', 'Unpin by itself after this long, such as 24h'),
    metadata: texts('metadata', 'key=value to keep with the pin; may be given again'),
    size: text('size', 'Size of the content, such as 10GB: only peers with room are chosen'),
    maxPinSize: text('max-pin-size', 'Stop when it turns out larger than this, such as 10GB'),
    fromFile: fromFileFlag('Pin'),
    ...waitFlags,
  },
  async run(session: Session, parsed) {
    const { values, args } = parsed
    const options: PinOptions = {
      ...DEFAULT_PIN_OPTIONS,
      replicationFactorMin: values.replication || values.replicationMin,
      replicationFactorMax: values.replication || values.replicationMax,
      userAllocations: allocationsOf(values.allocations),
      expireAt: expiryOf(values.expireIn, session),
      name: values.name,
      mode: values.mode === 'direct' ? 'direct' : 'recursive',
      metadata: metadataOf(values.metadata),
      ...sizesOf(values),
    }
    if (isFromFile(parsed)) return await pinFromFile(session, values.fromFile, options)
    const pin = await session.client.pinPath({ path: args[0] ?? '', options })
    await finishPin(session, parsed, pin, 'pinned', submittedPinShape)
  },
})

const remove = command({
  name: 'rm',
  usage: 'Unpin a CID or path',
  argsUsage: '<CID|Path>',
  description: `Makes the cluster forget a CID: it leaves the pinset at once, and the IPFS daemons that keep
it unpin it in time. Prints the status a moment later.

With --from-file many are unpinned in one go: a line is a CID, as with "pin add".`,
  flags: { fromFile: fromFileFlag('Unpin'), ...waitFlags },
  async run(session: Session, parsed) {
    if (isFromFile(parsed)) return await unpinFromFile(session, parsed.values.fromFile)
    const pin = await session.client.unpinPath({ path: parsed.args[0] ?? '' })
    await finishPin(session, parsed, pin, 'unpinned', pinShape)
  },
})

const update = command({
  name: 'update',
  usage: 'Pin something new in the way of an existing pin',
  argsUsage: '<existing-CID> <new-CID|Path>',
  description: `Takes all options of the existing pin, its name included, and the same allocations. The IPFS
daemons reuse what both have in common, which is quick for new versions of large content.

The existing pin stays; remove it with "pin rm" when it is no longer wanted.`,
  flags: {
    name: text('name, n', 'Another name for the new pin'),
    expireIn: text('expire-in', 'Unpin the new pin by itself after this long, such as 24h'),
    ...waitFlags,
  },
  async run(session: Session, parsed) {
    const { values, args } = parsed
    const pinUpdate = readCid('parsing from Cid', args[0])
    const expireAt = expiryOf(values.expireIn, session)
    const options = { pinUpdate, name: values.name, expireAt }
    const pin = await session.client.pinPath({ path: args[1] ?? '', options })
    await finishPin(session, parsed, pin, 'pinned', submittedPinShape)
  },
})

const list = command({
  name: 'ls',
  usage: 'List the pinset',
  argsUsage: '[CID]',
  description: `Prints what the cluster is asked to keep and which peers shall keep it: one entry, or all.
Whether the peers do keep it is told by "status".

Values of --filter, for listing all:
  - all
  - pin (the usual kind)
  - meta-pin (root of sharded content)
  - clusterdag-pin (list of the shards)
  - shard-pin (one shard)

The other flags show fewer: what matches all that is given. --match says how --name is
compared: exact, iexact (any case), partial (a part), ipartial or prefix. An exact name, the
beginning of one and a time cost what they show; the rest make the peer look at every pin.

With --limit, go on with the CID of the last pin as --cursor. Pins are listed by name where
--match is prefix, else by time where --after or --before is given: then a comma and that
pin's name or time follow the CID.`,
  flags: {
    filter: text('filter', 'Types of pins, comma-separated', 'all', { choices: TYPES, list: true }),
    ...listingFlags,
  },
  async run({ client, print, printAll }: Session, { values, args, given }) {
    const [cid] = args
    if (cid !== undefined && cid !== '') {
      if (Object.keys(listingFlags).some(flag => given.has(flag))) {
        throw new LocalFailure('', 'give a CID or say which pins to list, not both')
      }
      await print(pinShape, await client.allocation({ cid: readCid('parsing cid', cid) }))
      return
    }
    const typeBits = values.filter.split(',').reduce((bits, name) => bits | parsePinTypeBits(name), 0)
    await printAll(pinShape, client.allocations({ typeBits, listing: listingOf(values) }))
  },
})

export const pinCommands = group<Session>({
  name: 'pin',
  usage: 'Pin, unpin and list what the cluster keeps',
  commands: [add, remove, update, list],
})
