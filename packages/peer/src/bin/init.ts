/** `ipfs-cluster-service init` (Go: `cmd/ipfs-cluster-service/main.go`; reference api.md 4.2). */
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { CodedError, errorMessage, type Random } from '@ipfs-cluster/base'
import { multiaddr } from '@multiformats/multiaddr'
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
import { applyIdentityEnv, createIdentity, IDENTITY_FILE, saveIdentity } from '../identity/index.ts'
import { step, type CommandIo } from './io.ts'

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
const PROMPT_TRIES = 3

export async function init(options: InitOptions, io: CommandIo, random: Random): Promise<number> {
  const { folder } = options
  const choice = checkChoice(options)
  const peers = options.peers === '' ? [] : options.peers.split(',').map(parsePeer)
  const path = servicePath(folder)
  const hasIdentity = existsSync(join(folder, IDENTITY_FILE))
  await step('creating the config folder', () => mkdir(folder, { recursive: true, mode: 0o700 }))
  await using _lock = await step('acquiring execution lock', () => lockFolder(folder, io.pid))
  if (existsSync(path) && !options.force) {
    const question = 'The configuration file will be overwritten. Continue? [y/n]:'
    if (!(await confirm(question, io))) return 0
  }
  const config =
    options.source === ''
      ? await newConfig(options, choice, peers, io, random)
      : { ...defaults(choice, io, random), source: options.source }
  await step('saving the configuration', () => saveServiceConfig(folder, config))
  io.stderr.write(`configuration written to ${path}.\n`)
  if (!hasIdentity) {
    await step('saving the identity', async () =>
      saveIdentity(folder, applyIdentityEnv(await createIdentity(), io.env)),
    )
    io.stderr.write(`new identity written to ${join(folder, IDENTITY_FILE)}\n`)
  }
  if (options.source !== '') return 0
  const peerstore = join(
    folder,
    config.cluster.peerstore_file === '' ? 'peerstore' : config.cluster.peerstore_file,
  )
  await step('saving the peerstore', () =>
    writeFile(peerstore, peers.map(peer => `${peer.address}\n`).join(''), { mode: 0o644 }),
  )
  io.stderr.write(
    peers.length === 0
      ? `new empty peerstore written to ${peerstore}.\n`
      : `peerstore written to ${peerstore} with ${peers.length} entries.\n`,
  )
  return 0
}

interface Choice {
  readonly consensus: ConsensusName
  readonly datastore: DatastoreName
  readonly ipfs: IpfsConnectorName
}

function checkChoice({ consensus, datastore, ipfs }: InitOptions): Choice {
  const refuse = (what: string, text: string) => {
    throw new CodedError(`error choosing ${what}: ${text}`, { code: 'BAD_FLAG' })
  }
  if (consensus !== 'crdt' && consensus !== 'raft')
    refuse('consensus', "flag value must be set to 'raft' or 'crdt'")
  if (!DATASTORES.includes(datastore))
    refuse('datastore', `flag value must be one of ${DATASTORES.join(', ')}`)
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
  choice: Choice,
  peers: readonly { readonly id: string }[],
  io: CommandIo,
  random: Random,
): Promise<ServiceConfig> {
  const initial = defaults(choice, io, random)
  const placed = options.randomPorts ? await withRandomPorts(initial) : initial
  const overlaid = await step('applying environment variables to configuration', () =>
    withEnvironment(placed, io.env),
  )
  const secret = options.customSecret
    ? await step('parsing the secret', async () =>
        parseSecret((await ask('Enter cluster secret (32-byte hex string): ', io)).trim()),
      )
    : overlaid.cluster.secret
  const { crdt, raft } = overlaid.consensus
  const ids = peers.map(peer => peer.id)
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

function parsePeer(text: string): { readonly address: string; readonly id: string } {
  try {
    const address = multiaddr(text.trim())
    const id = address.getComponents().findLast(part => part.name === 'p2p')?.value
    if (id === undefined) throw new Error('it does not end in /p2p/<peer id>')
    return { address: address.toString(), id }
  } catch (cause) {
    throw new CodedError(
      `error parsing peer multiaddress: ${text}: ${errorMessage(cause)}`,
      { code: 'BAD_FLAG' },
      { cause },
    )
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

/** Held open together, so that no two are the same. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  const ports: number[] = []
  for (const server of servers) {
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, resolve))
    const address = server.address()
    if (typeof address === 'object' && address !== null) ports.push(address.port)
  }
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}

async function confirm(question: string, io: CommandIo): Promise<boolean> {
  for (let tries = 0; tries < PROMPT_TRIES; tries++) {
    const answer = (await ask(`${question} `, io)).trim().toLowerCase()
    if (answer === 'y') return true
    if (answer === 'n' || answer === '') return false
  }
  return false
}

async function ask(question: string, io: CommandIo): Promise<string> {
  io.stderr.write(question)
  const lines = createInterface({ input: io.stdin })
  try {
    for await (const line of lines) return line
    return ''
  } finally {
    lines.close()
  }
}
