/** The command table of `ipfs-cluster-service`. */
import { systemRandom, type Logger } from '@ipfs-cluster/base'
import { boolean, command, text, type App, type Values } from '@ipfs-cluster/base/cli'
import { COMPATIBLE_VERSION, VERSION } from '../version.ts'
import { daemon } from './daemon.ts'
import { init } from './init.ts'
import type { CommandIo } from './io.ts'
import { createTextLogger, parseLogLevels } from './logging.ts'
import { stateCommands, type StateService } from './state-commands.ts'

const DESCRIPTION = `A cluster peer: it shares a pinset with the other peers of its private network, decides with
them where each pin goes, and makes the IPFS daemon beside it (Kubo, or the built-in node)
keep what it was given.

A peer needs a configuration and an identity: "init" writes both, to the folder given by --config.

EXAMPLES

A first peer with its own IPFS node:

$ ipfs-cluster-service init --ipfs embedded
$ ipfs-cluster-service daemon

A second one, with the same "secret" in its service.json, joins:

$ ipfs-cluster-service daemon --bootstrap /ip4/192.168.1.2/tcp/9096/p2p/<peer id>

A backup of the pinset, with the peer stopped:

$ ipfs-cluster-service state export -f pins.json

Log levels, for all facilities and for one:

$ ipfs-cluster-service --loglevel info,crdt:debug daemon`

const INIT_DESCRIPTION = `Writes service.json with default values and a new cluster secret, identity.json with a new
key unless there is one, and the peerstore. CLUSTER_* environment variables are applied, and
so become part of the file.

With a source URL, service.json only points there: the daemon fetches the configuration at
every start.

To join an existing cluster, its secret must be the same everywhere: give it with
--custom-secret or CLUSTER_SECRET.`

const DAEMON_DESCRIPTION = `Runs the peer until it is told to stop: the first signal (SIGINT, SIGTERM, SIGHUP) shuts down
in order, the third ends it at once.`

const globalFlags = (home: string) => ({
  config: text('config, c', 'folder of configuration and data', `${home}/.ipfs-cluster`, {
    placeholder: 'FOLDER',
    env: 'IPFS_CLUSTER_PATH',
  }),
  force: boolean('force, f', 'go ahead without asking, for example when overwriting'),
  debug: boolean('debug, d', 'log everything'),
  logLevel: text('loglevel, l', 'log levels, comma-separated: level or facility:level', '', {
    env: 'IPFS_CLUSTER_LOG_LEVEL',
  }),
})

type GlobalFlags = ReturnType<typeof globalFlags>

/** What a command runs with. */
interface Service extends StateService {
  readonly io: CommandIo
  readonly global: Values<GlobalFlags>
}

function createLogger({ debug, logLevel }: Values<GlobalFlags>, io: CommandIo): Logger {
  const levels = parseLogLevels(debug ? 'debug' : logLevel)
  return createTextLogger(line => io.stderr.write(line), levels)
}

const initCommand = command({
  name: 'init',
  usage: 'Creates a configuration and an identity',
  description: INIT_DESCRIPTION,
  argsUsage: '[http-source-url]',
  flags: {
    consensus: text('consensus', "consensus: 'crdt' or 'raft'", 'crdt'),
    datastore: text(
      'datastore',
      "datastore section for Go peers: 'badger', 'badger3', 'leveldb' or 'pebble'",
      'pebble',
    ),
    ipfs: text('ipfs', "IPFS daemon: 'ipfshttp' (Kubo) or 'embedded' (the built-in node)", 'ipfshttp'),
    customSecret: boolean('custom-secret, s', 'ask for the cluster secret (not with a URL)'),
    peers: text('peers', 'comma-separated multiaddresses of peers to start with'),
    force: boolean('force, f', 'overwrite the configuration without asking'),
    randomPorts: boolean('randomports', 'listen on free random ports instead of the defaults'),
  },
  async run({ io, global }: Service, { values, args }) {
    const force = values.force || global.force
    await init({ ...values, force, folder: global.config, source: args[0] ?? '' }, io, systemRandom)
  },
})

const daemonCommand = command({
  name: 'daemon',
  usage: 'Runs the peer',
  description: DAEMON_DESCRIPTION,
  flags: {
    upgrade: boolean('upgrade, u', 'accepted for old scripts; does nothing'),
    bootstrap: text('bootstrap, j', 'join the cluster of these peers (comma-separated multiaddresses)'),
    leave: boolean('leave, x', 'accepted for old scripts; a CRDT peer has nothing to leave'),
    stats: boolean('stats', 'serve Prometheus metrics, whatever observations.metrics.enable_stats says'),
    tracing: boolean('tracing', 'trace (not in this version)'),
    noTrust: boolean('no-trust', 'do not trust the bootstrap peers (crdt)'),
  },
  async run({ io, global }: Service, { values }) {
    const logger = createLogger(global, io)
    const addresses = values.bootstrap.split(',').filter(address => address !== '')
    await daemon({ ...values, folder: global.config, bootstrap: addresses }, io, logger)
  },
})

const versionCommand = command({
  name: 'version',
  usage: 'Prints the version',
  async run({ io }: Service) {
    io.stdout.write(`${VERSION}\n`)
  },
})

export function createApp(io: CommandIo): App<Service, GlobalFlags> {
  return {
    name: 'ipfs-cluster-service',
    usage: 'IPFS Cluster peer',
    version: COMPATIBLE_VERSION,
    description: DESCRIPTION,
    flags: globalFlags(io.env['HOME'] ?? '.'),
    commands: [initCommand, daemonCommand, stateCommands, versionCommand],
    // As in the Go program, which discards the result.
    usageExitCode: 0,
    unknownCommand: 'help',
    prepare: ({ values }) => ({
      io,
      global: values,
      state: () => ({ folder: values.config, io, logger: createLogger(values, io) }),
    }),
  }
}
