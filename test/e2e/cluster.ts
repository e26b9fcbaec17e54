/** Real peers for end-to-end tests: processes of `ipfs-cluster-service` with built-in IPFS nodes on loopback, one folder each. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ServiceConfig } from '@ipfs-cluster/peer'
import { loadServiceConfig, saveServiceConfig } from '@ipfs-cluster/peer'
import { trackerStatusText } from '@ipfs-cluster/api'
import { createClient, type ClusterClient } from '@ipfs-cluster/api/client'
import { createNodeTransport } from '@ipfs-cluster/api/node'
import { systemClock } from '@ipfs-cluster/base'
import { runProcess, startProcess, waitFor, type ExitResult, type TestProcess } from '@ipfs-cluster/testkit'
import type { CID } from 'multiformats/cid'
import { preparePeers, type PeerFolder } from '../../scripts/start/folders.ts'

export const bin = (name: string) =>
  fileURLToPath(new URL(`../../node_modules/.bin/${name}`, import.meta.url))

/** Disposal stops the process if it still runs. */
export interface TestPeer extends PeerFolder, AsyncDisposable {
  readonly client: ClusterClient
  /** Of the running process. */
  readonly process: TestProcess
  start(): Promise<void>
  /** Stops it in order; resolves with how it ended. */
  stop(): Promise<ExitResult>
  kill9(): Promise<void>
  /** Runs a daemon that is expected to end by itself. @throws when it has not within 20 s. */
  failToStart(): Promise<ExitResult>
  ctl(args: readonly string[]): Promise<ExitResult>
}

export interface TestCluster extends AsyncDisposable {
  readonly peers: readonly TestPeer[]
  readonly folder: string
  /** Resolves when every peer sees every other, and knows how much space it has. */
  whole(): Promise<void>
}

type EditConfig = (config: ServiceConfig, index: number) => ServiceConfig

const FAIL_TO_START_MS = 20_000

/** Peers with configuration and identity, of one cluster, none of them started. */
export async function prepareCluster(
  count: number,
  edit: EditConfig = config => config,
): Promise<TestCluster> {
  const folder = await mkdtemp(join(tmpdir(), 'e2e-'))
  const folders = await preparePeers(folder, count)
  const peers = folders.map(testPeer)
  for (const [index, peer] of peers.entries()) await editConfig(peer, config => edit(config, index))
  return {
    peers,
    folder,
    async whole() {
      await Promise.all(peers.map(peer => seesAll(peer, count)))
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(peers.map(peer => peer[Symbol.asyncDispose]()))
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Resolves when the cluster is whole. */
export async function startCluster(count: number, edit?: EditConfig): Promise<TestCluster> {
  const cluster = await prepareCluster(count, edit)
  const { peers } = cluster
  try {
    await Promise.all(peers.map(peer => peer.start()))
    await cluster.whole()
    return cluster
  } catch (error) {
    for (const peer of peers) console.error(`--- ${peer.name}\n${peer.process.stderr.slice(-3000)}`)
    await cluster[Symbol.asyncDispose]()
    throw error
  }
}

/** Changes the configuration of a peer that does not run. */
export async function editConfig(
  { folder, name }: PeerFolder,
  edit: (config: ServiceConfig) => ServiceConfig,
): Promise<void> {
  const config = await loadServiceConfig(folder, { env: {}, hostname: name, clock: systemClock })
  await saveServiceConfig(folder, edit(config))
}

/** The status of a pin by peer id, in words. */
export async function statusByPeer(peer: TestPeer, cid: CID): Promise<Readonly<Record<string, string>>> {
  const { peerMap } = await peer.client.status({ cid })
  return Object.fromEntries(
    Object.entries(peerMap).map(([id, short]) => [id, trackerStatusText(short.status)]),
  )
}

/** The CIDs of the pinset, as this peer has it. */
export async function pinset(peer: TestPeer): Promise<string[]> {
  return (await Array.fromAsync(peer.client.allocations())).map(pin => pin.cid.toString())
}

async function seesAll(peer: TestPeer, count: number): Promise<void> {
  await waitFor(
    async () => {
      const seen = await Array.fromAsync(peer.client.peers())
      const free = await peer.client.metrics({ name: 'freespace' })
      const answering = seen.filter(id => id.error === '' && id.ipfs.error === '')
      return answering.length === count && free.length === count
    },
    { timeoutMs: 60_000, intervalMs: 200, what: `${peer.name} sees ${count} peers` },
  )
}

function testPeer(peer: PeerFolder): TestPeer {
  const client = createClient({ hosts: [peer.restUrl] }, { transport: createNodeTransport() })
  let running: TestProcess | undefined
  const current = () => {
    if (running === undefined) throw new Error(`${peer.name} was never started`)
    return running
  }
  const daemonArgs = ['--config', peer.folder, 'daemon']
  return {
    ...peer,
    client,
    get process() {
      return current()
    },
    async start() {
      running = await startProcess(bin('ipfs-cluster-service'), daemonArgs, { ready: /READY/ })
    },
    async stop() {
      current().kill('SIGTERM')
      return await current().exited
    },
    async kill9() {
      current().kill('SIGKILL')
      await current().exited
    },
    async failToStart() {
      await using daemon = await startProcess(bin('ipfs-cluster-service'), daemonArgs)
      let ended: ExitResult | undefined
      void daemon.exited.then(result => (ended = result))
      return await waitFor(() => ended, {
        timeoutMs: FAIL_TO_START_MS,
        what: `the end of ${peer.name}, which should not start`,
      })
    },
    ctl: args => {
      const { hostname, port } = new URL(peer.restUrl)
      return runProcess(bin('ipfs-cluster-ctl'), ['--host', `/ip4/${hostname}/tcp/${port}`, ...args])
    },
    async [Symbol.asyncDispose]() {
      await running?.[Symbol.asyncDispose]()
    },
  }
}
