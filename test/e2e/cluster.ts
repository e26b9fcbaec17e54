/** Real peers for end-to-end tests: processes of `ipfs-cluster-service` with built-in IPFS nodes on loopback, one folder each. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ServiceConfig } from '@ipfs-cluster/peer'
import { loadServiceConfig, saveServiceConfig } from '@ipfs-cluster/peer'
import { createClient, type ClusterClient } from '@ipfs-cluster/api/client'
import { createNodeTransport } from '@ipfs-cluster/api/node'
import { systemClock } from '@ipfs-cluster/base'
import { runProcess, startProcess, waitFor, type ExitResult, type TestProcess } from '@ipfs-cluster/testkit'
import { preparePeers, type PeerFolder } from '../../scripts/start/folders.ts'

export const bin = (name: string) =>
  fileURLToPath(new URL(`../../node_modules/.bin/${name}`, import.meta.url))

export interface TestPeer extends PeerFolder {
  readonly client: ClusterClient
  /** Of the running process. */
  readonly process: TestProcess
  start(): Promise<void>
  /** Stops it in order; resolves with how it ended. */
  stop(): Promise<ExitResult>
  kill9(): Promise<void>
  ctl(args: readonly string[]): Promise<ExitResult>
}

export interface TestCluster extends AsyncDisposable {
  readonly peers: readonly TestPeer[]
  readonly folder: string
  /** Resolves when every peer sees every other, and knows how much space it has. */
  whole(): Promise<void>
}

export async function startCluster(
  count: number,
  edit: (config: ServiceConfig, index: number) => ServiceConfig = config => config,
): Promise<TestCluster> {
  const folder = await mkdtemp(join(tmpdir(), 'e2e-'))
  const folders = await preparePeers(folder, count)
  for (const [index, peer] of folders.entries()) {
    const config = await loadServiceConfig(peer.folder, { env: {}, hostname: peer.name, clock: systemClock })
    await saveServiceConfig(peer.folder, edit(config, index))
  }
  const peers = folders.map(testPeer)
  const cluster: TestCluster = {
    peers,
    folder,
    async whole() {
      await Promise.all(
        peers.map(peer =>
          waitFor(
            async () => {
              const seen = await Array.fromAsync(peer.client.peers())
              const free = await peer.client.metrics({ name: 'freespace' })
              const answering = seen.filter(id => id.error === '' && id.ipfs.error === '')
              return answering.length === count && free.length === count
            },
            { timeoutMs: 60_000, intervalMs: 200, what: `${peer.name} sees ${count} peers` },
          ),
        ),
      )
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(peers.map(peer => peer.process[Symbol.asyncDispose]()))
      await rm(folder, { recursive: true, force: true })
    },
  }
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

function testPeer(peer: PeerFolder): TestPeer {
  const client = createClient({ hosts: [peer.restUrl] }, { transport: createNodeTransport() })
  let running: TestProcess | undefined
  const current = () => {
    if (running === undefined) throw new Error(`${peer.name} was never started`)
    return running
  }
  return {
    ...peer,
    client,
    get process() {
      return current()
    },
    async start() {
      running = await startProcess(bin('ipfs-cluster-service'), ['--config', peer.folder, 'daemon'], {
        ready: /READY/,
      })
    },
    async stop() {
      current().kill('SIGTERM')
      return await current().exited
    },
    async kill9() {
      current().kill('SIGKILL')
      await current().exited
    },
    ctl: args => {
      const { hostname, port } = new URL(peer.restUrl)
      return runProcess(bin('ipfs-cluster-ctl'), ['--host', `/ip4/${hostname}/tcp/${port}`, ...args])
    },
  }
}
