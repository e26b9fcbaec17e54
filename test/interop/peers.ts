/**
 * Peers of both implementations, driven alike: the same command line, configuration file and REST API. `IPFS_CLUSTER_GO_BIN` names a Go
 * `ipfs-cluster-service` 1.1.6, `KUBO_BIN` an `ipfs`; without them the tests here are skipped.
 */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runProcess, startProcess, waitFor, type ExitResult, type TestProcess } from '@ipfs-cluster/testkit'
import { bin } from '../e2e/cluster.ts'

export type Kind = 'go' | 'ts'

/** The Go implementation's `ipfs-cluster-service`, or `undefined`, also for an empty name. */
export const goBinary: string | undefined = process.env['IPFS_CLUSTER_GO_BIN'] || undefined

export const binaries: Readonly<Record<Kind, string>> = {
  go: goBinary ?? 'IPFS_CLUSTER_GO_BIN is not set',
  ts: process.env['IPFS_CLUSTER_TS_BIN'] ?? bin('ipfs-cluster-service'),
}

/** Where a peer runs: on loopback, or in a network namespace. */
export interface Place {
  /** Stands before every command. */
  readonly prefix: readonly string[]
  /** Address of the private network, and of REST. */
  readonly swarmIp: string
  readonly restIp: string
}

export const LOOPBACK: Place = { prefix: [], swarmIp: '127.0.0.1', restIp: '127.0.0.1' }

/** A JSON object whose shape the test knows. */
// oxlint-disable-next-line typescript/no-explicit-any
export type Json = any

export interface PeerOptions {
  readonly kind: Kind
  readonly name: string
  readonly folder: string
  readonly place: Place
  readonly swarmPort: number
  readonly restPort: number
  readonly secret: string
  /** API of the IPFS daemon; none = the built-in node (TypeScript only). */
  readonly kuboApi?: string
  readonly env?: Readonly<Record<string, string>>
  /** Changes `service.json`. */
  readonly edit?: (config: Json) => void
}

export interface InteropPeer extends AsyncDisposable {
  readonly kind: Kind
  readonly name: string
  readonly id: string
  readonly folder: string
  /** With /p2p. */
  readonly swarm: string
  readonly rest: string
  readonly pid: number
  /** Everything it wrote since its first start. */
  readonly log: string
  /** @param readyPath of a request that succeeds once it serves. @default /id */
  start(args?: readonly string[], readyPath?: string): Promise<void>
  stop(): Promise<ExitResult>
  kill9(): Promise<void>
  /** Runs its binary with other arguments, such as `state export`. */
  run(args: readonly string[], input?: string): Promise<ExitResult>
  /** @throws with the body unless the answer is a success. */
  request(method: string, path: string, body?: RequestInit['body']): Promise<Response>
  json(path: string): Promise<Json>
  /** All objects of a streamed listing. @throws when the trailer-like error object ends it. */
  list(path: string, method?: string): Promise<Json[]>
}

const REQUEST_TIMEOUT_MS = 120_000
const READY_TIMEOUT_MS = 60_000

/** `init`, and a configuration for tests: quick pings, no mDNS, no proxy. The peer does not run yet. */
export async function preparePeer(options: PeerOptions): Promise<InteropPeer> {
  const { kind, name, folder, place, swarmPort, restPort } = options
  const env = { CLUSTER_SECRET: options.secret, CLUSTER_PEERNAME: name, ...options.env }
  const [command = '', ...prefix] = [...place.prefix, binaries[kind], '--config', folder]
  const run = (args: readonly string[], input?: string) =>
    runProcess(command, [...prefix, ...args], { env, ...(input === undefined ? {} : { input }) })
  const initArgs = kind === 'ts' && options.kuboApi === undefined ? ['--ipfs', 'embedded'] : []
  const made = await run(['init', ...initArgs])
  assert.equal(made.code, 0, made.stderr)
  await editConfig(options)
  const { id } = JSON.parse(await readFile(join(folder, 'identity.json'), 'utf8'))
  const rest = `http://${place.restIp}:${restPort}`
  let process: TestProcess | undefined
  let earlier = ''
  const current = () => {
    assert.ok(process, `${name} was never started`)
    return process
  }
  const request = async (method: string, path: string, body?: RequestInit['body']) => {
    const response = await fetch(rest + path, {
      method,
      // Minutes may pass between two requests, in which a peer closes the connection while this process is too busy to notice.
      headers: { connection: 'close' },
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      ...(body === undefined ? {} : { body }),
    })
    if (!response.ok) {
      throw new Error(`${name}: ${method} ${path}: ${response.status} ${await response.text()}`)
    }
    return response
  }
  return {
    kind,
    name,
    id,
    folder,
    swarm: `/ip4/${place.swarmIp}/tcp/${swarmPort}/p2p/${id}`,
    rest,
    get pid() {
      return current().pid
    },
    get log() {
      return earlier + (process === undefined ? '' : process.stdout + process.stderr)
    },
    async start(args = [], readyPath = '/id') {
      if (process !== undefined) earlier += process.stdout + process.stderr
      process = await startProcess(command, [...prefix, 'daemon', ...args], {
        env,
        ready: /READY/,
        readyTimeoutMs: READY_TIMEOUT_MS,
      })
      await waitFor(() => request('GET', readyPath), { timeoutMs: READY_TIMEOUT_MS, what: `REST of ${name}` })
    },
    async stop() {
      current().kill('SIGTERM')
      return await current().exited
    },
    async kill9() {
      current().kill('SIGKILL')
      await current().exited
    },
    run,
    request,
    json: async path => (await request('GET', path)).json(),
    async list(path, method = 'GET') {
      const text = await (await request(method, path)).text()
      return text
        .split('\n')
        .filter(line => line !== '')
        .map(line => JSON.parse(line))
    },
    async [Symbol.asyncDispose]() {
      await process?.[Symbol.asyncDispose]()
    },
  }
}

async function editConfig({ folder, place, swarmPort, restPort, kuboApi, edit }: PeerOptions): Promise<void> {
  const path = join(folder, 'service.json')
  const config = JSON.parse(await readFile(path, 'utf8'))
  Object.assign(config.cluster, {
    listen_multiaddress: [`/ip4/${place.swarmIp}/tcp/${swarmPort}`],
    mdns_interval: '0s',
    monitor_ping_interval: '2s',
    peer_watch_interval: '2s',
    connection_manager: { high_water: 400, low_water: 100, grace_period: '2m0s' },
  })
  config.api.restapi.http_listen_multiaddress = `/ip4/${place.restIp}/tcp/${restPort}`
  delete config.api.ipfsproxy
  delete config.api.pinsvcapi
  config.monitor.pubsubmon.check_interval = '3s'
  config.informer.disk.metric_ttl = '6s'
  config.informer.tags.metric_ttl = '6s'
  if (kuboApi !== undefined) config.ipfs_connector.ipfshttp.node_multiaddress = kuboApi
  const { embedded } = config.ipfs_connector
  if (embedded !== undefined) {
    embedded.swarm_listen_multiaddress = [`/ip4/${place.swarmIp}/tcp/0`]
    embedded.gateway_listen_multiaddress = '/ip4/127.0.0.1/tcp/0'
  }
  edit?.(config)
  await writeFile(path, JSON.stringify(config, null, 2))
}
