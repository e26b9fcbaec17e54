/** The command table of `ipfs-cluster-service`. */
import { systemRandom } from '@ipfs-cluster/base'
import type { FlagValues, Program } from '@ipfs-cluster/base/cli'
import { COMPATIBLE_VERSION, VERSION } from '../version.ts'
import { daemon } from './daemon.ts'
import { init } from './init.ts'
import type { CommandIo } from './io.ts'
import { createTextLogger, parseLogLevels } from './logging.ts'

const DESCRIPTION = `A cluster peer: it shares a pinset with the other peers of its private network, decides with them where each pin goes, and makes the
IPFS daemon beside it (Kubo, or the built-in node) keep what it was given.

A peer needs a configuration and an identity: "init" writes both, to the folder given by --config.

EXAMPLES

A first peer with its own IPFS node:

$ ipfs-cluster-service init --ipfs embedded
$ ipfs-cluster-service daemon

A second one, with the same "secret" in its service.json, joins:

$ ipfs-cluster-service daemon --bootstrap /ip4/192.168.1.2/tcp/9096/p2p/<peer id>

Log levels, for all facilities and for one:

$ ipfs-cluster-service --loglevel info,crdt:debug daemon`

const INIT_DESCRIPTION = `Writes service.json with default values and a new cluster secret, identity.json with a new key unless there is one, and the peerstore.
CLUSTER_* environment variables are applied, and so become part of the file.

With a source URL, service.json only points there: the daemon fetches the configuration at every start.

To join an existing cluster, its secret must be the same everywhere: give it with --custom-secret or CLUSTER_SECRET.`

const DAEMON_DESCRIPTION = `Runs the peer until it is told to stop: the first signal (SIGINT, SIGTERM, SIGHUP) shuts down in order, the third ends it at once.`

export function serviceProgram(io: CommandIo): Program {
  return {
    name: 'ipfs-cluster-service',
    usage: 'IPFS Cluster peer',
    version: COMPATIBLE_VERSION,
    description: DESCRIPTION,
    // As in the Go program, whose result is discarded.
    usageExitCode: 0,
    unknownCommand: 'help',
    flags: [
      {
        name: 'config',
        aliases: ['c'],
        kind: 'string',
        placeholder: 'FOLDER',
        initial: `${io.env['HOME'] ?? '.'}/.ipfs-cluster`,
        usage: 'folder of configuration and data',
        env: 'IPFS_CLUSTER_PATH',
      },
      {
        name: 'force',
        aliases: ['f'],
        kind: 'bool',
        usage: 'go ahead without asking, for example when overwriting',
      },
      { name: 'debug', aliases: ['d'], kind: 'bool', usage: 'log everything' },
      {
        name: 'loglevel',
        aliases: ['l'],
        kind: 'string',
        usage: 'log levels, comma-separated: level or facility:level',
        env: 'IPFS_CLUSTER_LOG_LEVEL',
      },
    ],
    commands: [
      {
        name: 'init',
        usage: 'Creates a configuration and an identity',
        description: INIT_DESCRIPTION,
        argsUsage: '[http-source-url]',
        flags: [
          { name: 'consensus', kind: 'string', initial: 'crdt', usage: "consensus: 'crdt' or 'raft'" },
          {
            name: 'datastore',
            kind: 'string',
            initial: 'pebble',
            usage: "datastore section for Go peers: 'badger', 'badger3', 'leveldb' or 'pebble'",
          },
          {
            name: 'ipfs',
            kind: 'string',
            initial: 'ipfshttp',
            usage: "IPFS daemon: 'ipfshttp' (Kubo) or 'embedded' (the built-in node)",
          },
          {
            name: 'custom-secret',
            aliases: ['s'],
            kind: 'bool',
            usage: 'ask for the cluster secret (not with a URL)',
          },
          { name: 'peers', kind: 'string', usage: 'comma-separated multiaddresses of peers to start with' },
          {
            name: 'force',
            aliases: ['f'],
            kind: 'bool',
            usage: 'overwrite the configuration without asking',
          },
          { name: 'randomports', kind: 'bool', usage: 'listen on free random ports instead of the defaults' },
        ],
        run: ({ global, flags, args }) =>
          init(
            {
              folder: global.string('config'),
              consensus: flags.string('consensus'),
              datastore: flags.string('datastore'),
              ipfs: flags.string('ipfs'),
              customSecret: flags.bool('custom-secret'),
              peers: flags.string('peers'),
              force: flags.bool('force') || global.bool('force'),
              randomPorts: flags.bool('randomports'),
              source: args[0] ?? '',
            },
            io,
            systemRandom,
          ),
      },
      {
        name: 'daemon',
        usage: 'Runs the peer',
        description: DAEMON_DESCRIPTION,
        flags: [
          { name: 'upgrade', aliases: ['u'], kind: 'bool', usage: 'accepted for old scripts; does nothing' },
          {
            name: 'bootstrap',
            aliases: ['j'],
            kind: 'string',
            usage: 'join the cluster of these peers (comma-separated multiaddresses)',
          },
          { name: 'no-trust', kind: 'bool', usage: 'do not trust the bootstrap peers (crdt)' },
        ],
        run: ({ global, flags }) =>
          daemon(
            {
              folder: global.string('config'),
              bootstrap: flags
                .string('bootstrap')
                .split(',')
                .filter(address => address !== ''),
              noTrust: flags.bool('no-trust'),
            },
            io,
            logger(global, io),
          ),
      },
      {
        name: 'version',
        usage: 'Prints the version',
        run() {
          io.stdout.write(`${VERSION}\n`)
          return Promise.resolve(0)
        },
      },
    ],
  }
}

function logger(global: FlagValues, io: CommandIo) {
  const levels = parseLogLevels(global.bool('debug') ? 'debug' : global.string('loglevel'))
  return createTextLogger(line => io.stderr.write(line), levels)
}
