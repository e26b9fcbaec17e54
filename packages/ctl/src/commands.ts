/** All commands, in the order of `commands` and help. */
import {
  CLUSTER_VERSION,
  parsePeerId,
  parseTrackerStatus,
  statusOrder,
  TRACKER_STATUS,
  type GlobalPinInfo,
} from '@ipfs-cluster/api'
import {
  boolean,
  command,
  commandNames,
  completionCommand,
  group,
  text,
  type App,
  type Command,
} from '@ipfs-cluster/base/cli'
import { addCommand } from './commands/add.ts'
import { exportCommand } from './commands/export.ts'
import { listingFlags, listingOf } from './commands/listing.ts'
import { pinCommands } from './commands/pin.ts'
import { localFlag, readCid } from './commands/shared.ts'
import { LocalFailure, trying } from './failure.ts'
import {
  alertsShape,
  bandwidthShape,
  idShape,
  metricNamesShape,
  metricsShape,
  repoGCShape,
  statusShape,
  versionShape,
} from './format.ts'
import { dotText } from './graph.ts'
import type { Io } from './io.ts'
import { createSession, globalFlags, type Session } from './session.ts'

const PROGRAM = 'ipfs-cluster-ctl'

const id = command({
  name: 'id',
  usage: 'Show the peer that is asked',
  description: 'Prints its ID, its addresses, and those of its IPFS daemon.',
  run: async ({ client, print }: Session) => await print(idShape, await client.id()),
})

const peers = group<Session>({
  name: 'peers',
  usage: 'List and remove peers of the cluster',
  commands: [
    command({
      name: 'ls',
      usage: 'List all peers',
      argsUsage: ' ',
      description: 'Asks every peer of the cluster for what "id" shows.',
      run: async ({ client, printAll }: Session) => await printAll(idShape, client.peers()),
    }),
    command({
      name: 'rm',
      usage: 'Remove a peer',
      argsUsage: '<peer ID>',
      description: `Takes a peer out of the cluster; if it is online it shuts down. The other peers should be
online, or else some keep an outdated list of peers. Clusters in CRDT mode have no such list.`,
      async run({ client }: Session, { args }) {
        await client.peerRemove({ peer: trying('parsing peer ID', () => parsePeerId(args[0] ?? '')) })
      },
    }),
  ],
})

const statusNames = Object.keys(TRACKER_STATUS)
  .filter(name => name !== 'undefined')
  .sort()

const status = command({
  name: 'status',
  usage: 'Show whether pins are kept',
  argsUsage: '[CID1] [CID2]...',
  description: `Asks the peers how far they are with what they shall keep, and for their errors: for the
CIDs that are given, or for all. The other flags choose pins, and have no effect with CIDs.
With --filter only peers in one of these states are shown:

${statusNames.map(name => `  - ${name}`).join('\n')}`,
  flags: {
    local: localFlag,
    filter: text('filter', 'States, comma-separated; without CIDs only', '', {
      choices: statusNames,
      list: true,
    }),
    ...listingFlags,
  },
  async run(session: Session, { values, args }) {
    const { client, print, printAll } = session
    const cids = args.map(arg => readCid('parsing cid', arg))
    const [cid] = cids
    const { local } = values
    if (cid !== undefined && cids.length === 1) {
      await print(statusShape, await client.status({ cid, local }))
      return
    }
    const filter = parseTrackerStatus(values.filter)
    if (cid === undefined && filter === 0 && values.filter !== '') {
      throw new LocalFailure('parsing filter flag', 'invalid filter name')
    }
    const all: AsyncIterable<GlobalPinInfo> = client.statusAll(
      cid === undefined
        ? { filter, local, listing: listingOf(values, statusOrder(filter)) }
        : { cids, local },
    )
    await printAll(statusShape, all)
  },
})

const recover = command({
  name: 'recover',
  usage: 'Try again what failed',
  argsUsage: '[CID]',
  description: `Makes peers try again to pin or unpin what is in error: one CID, or everything, which may
take long. Prints the status of what was queued again.`,
  flags: { local: localFlag },
  async run({ client, print, printAll }: Session, { values: { local }, args }) {
    const [cid] = args
    if (cid === undefined || cid === '') await printAll(statusShape, client.recoverAll({ local }))
    else await print(statusShape, await client.recover({ cid: readCid('parsing cid', cid), local }))
  },
})

const version = command({
  name: 'version',
  usage: 'Show the version of the peer',
  argsUsage: ' ',
  description: 'That of this tool is shown by --version.',
  run: async ({ client, print }: Session) => await print(versionShape, await client.version()),
})

const graph = command({
  name: 'graph',
  usage: 'Draw who is connected with whom',
  description: 'Prints the connections of cluster peers and their IPFS daemons in the DOT language.',
  flags: {
    file: text('file, f', 'Write to this file'),
    allIpfsPeers: boolean('all-ipfs-peers', 'Also show IPFS peers that belong to no cluster peer'),
  },
  async run({ client, io }: Session, { values }) {
    const dot = dotText(await client.connectGraph(), values.allIpfsPeers)
    if (values.file === '') {
      await io.stdout(dot)
      return
    }
    try {
      await io.files.write(values.file, dot)
    } catch (cause) {
      throw new LocalFailure('creating output file', cause)
    }
  },
})

const metrics = command({
  name: 'metrics',
  usage: 'Show what peers last told about themselves',
  argsUsage: '<metric name>',
  argChoices: ['freespace', 'ping', 'pinqueue'],
  description: `Prints the last valid value from each peer, as the peer that is asked has it. Without a name
it lists the names there are, such as ping and freespace.`,
  async run({ client, print }: Session, { args }) {
    const [name] = args
    if (name === undefined || name === '') await print(metricNamesShape, await client.metricNames())
    else await print(metricsShape, await client.metrics({ name }))
  },
})

const alerts = command({
  name: 'alerts',
  usage: 'Show which metrics expired',
  description: `A peer whose metric expires without a new one is probably down. Depending on the
configuration its pins are then given to others.`,
  run: async ({ client, print }: Session) => await print(alertsShape, await client.alerts()),
})

const bandwidth = command({
  name: 'bandwidth',
  usage: 'Show the traffic of each libp2p protocol',
  description: 'Prints bytes and bytes a second, in and out, of the peer that is asked.',
  run: async ({ client, print }: Session) => await print(bandwidthShape, await client.bandwidth()),
})

const health = group<Session>({
  name: 'health',
  usage: 'See how the cluster is',
  commands: [graph, metrics, alerts, bandwidth],
})

const ipfs = group<Session>({
  name: 'ipfs',
  usage: 'Manage the IPFS daemons',
  commands: [
    command({
      name: 'gc',
      usage: 'Collect garbage',
      description: 'Runs "repo gc" on the IPFS daemons of all peers, and prints what was removed.',
      flags: { local: localFlag },
      run: async ({ client, print }: Session, { values }) =>
        await print(repoGCShape, await client.repoGC(values)),
    }),
  ],
})

const commands: Command<Session> = command({
  name: 'commands',
  usage: 'List all commands',
  argsUsage: ' ',
  hidden: true,
  async run({ io }: Session) {
    await io.stdout(
      commandNames(PROGRAM, COMMANDS)
        .map(name => `${name}\n`)
        .join(''),
    )
  },
})

const COMMANDS: readonly Command<Session>[] = [
  id,
  peers,
  addCommand,
  exportCommand,
  pinCommands,
  status,
  recover,
  version,
  health,
  ipfs,
  commands,
  completionCommand(PROGRAM, () => ({ flags: globalFlags, commands: COMMANDS })),
]

export function createApp(io: Io): App<Session, typeof globalFlags> {
  return {
    name: PROGRAM,
    usage: 'Drives an IPFS Cluster',
    version: CLUSTER_VERSION,
    description: `Talks to the REST API of a cluster peer, by default the one on this machine. Other peers are
named with --host; of several, the next is asked when one is down. A host that ends in
/p2p/<peer ID>, or a /dnsaddr, is asked over libp2p, with the --secret of its private network.

What it prints is for people, or for programs with --enc json.

"${PROGRAM} help <command>" tells more about a command.`,
    flags: globalFlags,
    commands: COMMANDS,
    usageExitCode: 1,
    unknownCommand: 'topic',
    prepare: parsed => createSession(parsed, io),
  }
}
