/** `ipfs-cluster-service init` (Go: `cmd/ipfs-cluster-service/main.go`; reference api.md 4.2). */
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { CodedError, errorMessage, type Random } from '@ipfs-cluster/base'
import {
  initialConfig,
  lockFolder,
  parseSecret,
  saveServiceConfig,
  servicePath,
  validateServiceConfig,
  withEnvironment,
  type ConsensusName,
  type DatastoreName,
  type IpfsConnectorName,
  type ServiceConfig,
} from '../config/index.ts'
import {
  applyIdentityEnv,
  createIdentity,
  IDENTITY_FILE,
  saveIdentity,
  type Identity,
} from '../identity/index.ts'
import { CommandError, step, type CommandIo } from './io.ts'
import { parsePeerAddress, type PeerAddress } from './peer-address.ts'
import { freePorts } from './ports.ts'
import { createPrompt, type Prompt } from './prompt.ts'

export interface InitOptions {
  readonly folder: string
  readonly consensus: string
  readonly datastore: string
  readonly ipfs: string
  readonly customSecret: boolean
  readonly peers: string
  readonly force: boolean
  readonly randomPorts: boolean
  readonly source: string
}

const DATASTORES: readonly string[] = ['pebble', 'badger3', 'badger', 'leveldb'] satisfies DatastoreName[]

/**
 * Writes the configuration, an identity unless there is one, and the peerstore.
 *
 * @throws CommandError; wrong options change nothing.
 */
export async function init(options: InitOptions, io: CommandIo, random: Random): Promise<void> {
  const { folder } = options
  const choice = checkChoice(options)
  const peers = await step('parsing peer multiaddress', () =>
    options.peers === '' ? [] : options.peers.split(',').map(parsePeer),
  )
  const path = servicePath(folder)
  const hasIdentity = existsSync(join(folder, IDENTITY_FILE))
  await using stack = new AsyncDisposableStack()
  // A peer can only run where one of them is.
  if (existsSync(path) || hasIdentity) {
    stack.use(await step('obtaining execution lock', () => lockFolder(folder, io.pid)))
  }
  const prompt = stack.use(createPrompt(io))
  if (existsSync(path) && !options.force) {
    if (!(await prompt.confirm('The configuration file will be overwritten. Continue?'))) return
  }
  const config =
    options.source === ''
      ? await newConfig(options, defaults(choice, io, random), peers, io.env, prompt)
      : { ...defaults(choice, io, random), source: options.source }
  const identity = hasIdentity ? undefined : await newIdentity(io.env)
  await step('saving default configuration', () => saveServiceConfig(folder, config))
  io.stderr.write(`configuration written to ${path}.\n`)
  if (identity !== undefined) {
    await step(`saving ${IDENTITY_FILE}`, () => saveIdentity(folder, identity))
    io.stderr.write(`new identity written to ${join(folder, IDENTITY_FILE)}\n`)
  }
  if (options.source === '') await writePeerstore(folder, config, peers, io)
}

async function newIdentity(env: CommandIo['env']): Promise<Identity> {
  const identity = await step('generating an identity', createIdentity)
  return await step('applying environment variables to the identity', () => applyIdentityEnv(identity, env))
}

/** The file is there after every `init`, even when it is empty. */
async function writePeerstore(
  folder: string,
  { cluster }: ServiceConfig,
  peers: readonly NamedPeer[],
  io: CommandIo,
): Promise<void> {
  const path = resolve(folder, cluster.peerstore_file === '' ? 'peerstore' : cluster.peerstore_file)
  const lines = peers.filter(peer => peer.isReachable).map(peer => `${peer.address}\n`)
  await step('saving peers to peerstore', () => writeFile(path, lines.join(''), { mode: 0o644 }))
  if (cluster.secret === undefined) {
    io.stderr.write('WARNING: the cluster secret is empty: the peer will start on an unprotected network\n')
  }
  io.stderr.write(
    peers.length === 0
      ? `new empty peerstore written to ${path}.\n`
      : `peerstore written to ${path} with ${peers.length} entries.\n`,
  )
}

interface Choice {
  readonly consensus: ConsensusName
  readonly datastore: DatastoreName
  readonly ipfs: IpfsConnectorName
}

function checkChoice({ consensus, datastore, ipfs }: InitOptions): Choice {
  const refuse = (what: string, text: string) => {
    throw new CommandError(`choosing ${what}`, new CodedError(text, { code: 'BAD_FLAG' }))
  }
  if (consensus !== 'crdt' && consensus !== 'raft')
    refuse('consensus', "flag value must be set to 'raft' or 'crdt'")
  if (!DATASTORES.includes(datastore))
    refuse('datastore', "flag value must be set to 'leveldb', 'badger', 'badger3' or 'pebble'")
  if (ipfs !== 'ipfshttp' && ipfs !== 'embedded') {
    refuse('the IPFS daemon', "flag value must be set to 'ipfshttp' (Kubo) or 'embedded' (the built-in node)")
  }
  return {
    consensus: consensus as ConsensusName,
    datastore: datastore as DatastoreName,
    ipfs: ipfs as IpfsConnectorName,
  }
}

function defaults(choice: Choice, io: CommandIo, random: Random): ServiceConfig {
  return initialConfig({ ...choice, peername: io.hostname, secret: random.bytes(32) })
}

async function newConfig(
  options: InitOptions,
  initial: ServiceConfig,
  peers: readonly NamedPeer[],
  env: CommandIo['env'],
  prompt: Prompt,
): Promise<ServiceConfig> {
  const placed = options.randomPorts ? await withRandomPorts(initial) : initial
  const overlaid = await step('applying environment variables to configuration', () => {
    const set = withEnvironment(placed, env)
    validateServiceConfig(set)
    return set
  })
  const secret = options.customSecret
    ? await step('parsing user-provided secret', async () =>
        parseSecret(await prompt.ask('Enter cluster secret (32-byte hex string): ')),
      )
    : overlaid.cluster.secret
  const { crdt, raft } = overlaid.consensus
  const ids = [...new Set(peers.map(peer => peer.id))]
  const config: ServiceConfig = {
    ...overlaid,
    cluster: { ...overlaid.cluster, secret },
    consensus:
      ids.length === 0
        ? overlaid.consensus
        : { crdt: crdt && { ...crdt, trusted_peers: ids }, raft: raft && { ...raft, init_peerset: ids } },
  }
  await step('checking the configuration', () => validateServiceConfig(config))
  return config
}

interface NamedPeer extends PeerAddress {
  readonly id: string
}

function parsePeer(text: string): NamedPeer {
  try {
    const { id, ...peer } = parsePeerAddress(text)
    if (id === undefined) throw new Error('it does not end in /p2p/<peer id>')
    return { ...peer, id }
  } catch (cause) {
    throw new CodedError(`${text}: ${errorMessage(cause)}`, { code: 'BAD_FLAG' }, { cause })
  }
}

/** Ports of our own that were free a moment ago. */
async function withRandomPorts(config: ServiceConfig): Promise<ServiceConfig> {
  const [swarm, rest, proxy, pinsvc, ipfs, gateway] = await freePorts(6)
  const move = (addresses: readonly string[], port: number | undefined) =>
    addresses.map(address => address.replace(/\/(tcp|udp)\/\d+/, `/$1/${port}`))
  const { restapi, ipfsproxy, pinsvcapi } = config.api
  const { embedded, ipfshttp } = config.ipfs_connector
  return {
    ...config,
    cluster: { ...config.cluster, listen_multiaddress: move(config.cluster.listen_multiaddress, swarm) },
    api: {
      restapi: restapi && {
        ...restapi,
        http_listen_multiaddress: move(restapi.http_listen_multiaddress, rest),
      },
      ipfsproxy: ipfsproxy && {
        ...ipfsproxy,
        listen_multiaddress: move(ipfsproxy.listen_multiaddress, proxy),
      },
      pinsvcapi: pinsvcapi && {
        ...pinsvcapi,
        http_listen_multiaddress: move(pinsvcapi.http_listen_multiaddress, pinsvc),
      },
    },
    ipfs_connector: {
      ipfshttp,
      embedded: embedded && {
        ...embedded,
        swarm_listen_multiaddress: move(embedded.swarm_listen_multiaddress, ipfs),
        gateway_listen_multiaddress: move([embedded.gateway_listen_multiaddress], gateway)[0] ?? '',
      },
    },
  }
}
