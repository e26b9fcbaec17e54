/** The command table of `ipfs-cluster-service`. */
import { resolve } from 'node:path'
import { systemRandom, type Logger } from '@ipfs-cluster/base'
import { boolean, command, completionCommand, text, type App, type Values } from '@ipfs-cluster/base/cli'
import { COMPATIBLE_VERSION, VERSION } from '../version.ts'
import { daemon } from './daemon.ts'
import { init } from './init.ts'
import type { CommandIo } from './io.ts'
import { createTextLogger, DEBUG_LEVELS, logFormat, parseLogLevels, type LogLevels } from './logging.ts'
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
  /** The config folder, absolute. */
  readonly folder: string
  readonly logger: Logger
  readonly global: Values<GlobalFlags>
}

/** Reads the levels and says what is odd about them, whatever the command. @throws CodedError `BAD_LOG_LEVEL` */
function readLevels({ debug, logLevel }: Values<GlobalFlags>, io: CommandIo): LogLevels {
  if (debug) return DEBUG_LEVELS
  const { levels, notices, warnings } = parseLogLevels(logLevel, io.env)
  for (const notice of notices) io.stdout.write(`${notice}\n`)
  const loud = textLogger(DEBUG_LEVELS, io)
  for (const warning of warnings) loud.warn(warning)
  return levels
}

function textLogger(levels: LogLevels, io: CommandIo): Logger {
  return createTextLogger(line => io.stderr.write(line), levels, 'service', logFormat(io.env))
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
  async run({ io, folder, global }: Service, { values, args }) {
    const force = values.force || global.force
    await init({ ...values, force, folder, source: args[0] ?? '' }, io, systemRandom)
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
    tracing: boolean('tracing', 'send traces, whatever observations.tracing.enable_tracing says'),
    noTrust: boolean('no-trust', 'do not trust the bootstrap peers (crdt)'),
  },
  async run({ io, folder, logger }: Service, { values }) {
    const addresses = values.bootstrap.split(',').filter(address => address !== '')
    await daemon({ ...values, folder, bootstrap: addresses }, io, logger)
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
  const name = 'ipfs-cluster-service'
  const flags = globalFlags(io.env['HOME'] ?? '.')
  const own = [initCommand, daemonCommand, stateCommands, versionCommand]
  return {
    name,
    usage: 'IPFS Cluster peer',
    version: COMPATIBLE_VERSION,
    description: DESCRIPTION,
    flags,
    commands: [...own, completionCommand(name, () => ({ flags, commands: own }))],
    // As in the Go program, which discards the result.
    usageExitCode: 0,
    unknownCommand: 'help',
    prepare({ values }) {
      const folder = resolve(values.config)
      const logger = textLogger(readLevels(values, io), io)
      return { io, global: values, folder, logger, state: () => ({ folder, io, logger }) }
    },
  }
}
