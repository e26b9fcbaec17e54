/** Clusters to measure: peers of one implementation, each beside a daemon that pins without work. */
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startProcess, waitFor } from '@ipfs-cluster/testkit'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { create as createDigest } from 'multiformats/hashes/digest'
import { LOOPBACK, preparePeer, type InteropPeer, type Json, type Kind } from '../interop/peers.ts'
import { stablePorts } from '../interop/ports.ts'

const SHA2_256 = 0x12

export interface BedOptions {
  readonly kind: Kind
  readonly peers?: number
  /** 500 pins or 2 s, queue of 50,000, as in Go's measurements. */
  readonly batching?: boolean
  /** Of a pin, on the daemon. */
  readonly pinDelayMs?: number
  /** Share of CIDs that the daemon never gets. */
  readonly deadShare?: number
  readonly env?: Readonly<Record<string, string>>
}

export interface Bed extends AsyncDisposable {
  readonly peers: readonly InteropPeer[]
  /** `http://…/api/v0` of each daemon. */
  readonly daemons: readonly string[]
}

/** Starts everything; peers see each other when it resolves. Disposal removes the folders. */
export async function startBed(options: BedOptions): Promise<Bed> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'bench-'))
  stack.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }))
  const secret = randomBytes(32).toString('hex')
  const count = options.peers ?? 1
  const ports = await stablePorts(2 * count)
  const peers: InteropPeer[] = []
  const daemons: string[] = []
  for (let index = 0; index < count; index++) {
    const daemon = stack.use(
      await startProcess(
        process.execPath,
        [fakeDaemon, String(options.pinDelayMs ?? 0), String(options.deadShare ?? 0)],
        { ready: /\/ip4\/127\.0\.0\.1\/tcp\/(\d+)/ },
      ),
    )
    const [kuboApi = '', port = ''] = daemon.readyMatch ?? []
    daemons.push(`http://127.0.0.1:${port}/api/v0`)
    const peer = stack.use(
      await preparePeer({
        kind: options.kind,
        name: `${options.kind}${index}`,
        folder: join(folder, String(index)),
        place: LOOPBACK,
        swarmPort: ports[2 * index] as number,
        restPort: ports[2 * index + 1] as number,
        secret,
        kuboApi,
        env: { ...options.env },
        edit: config => edit(config, options),
      }),
    )
    await peer.start(peers[0] === undefined ? [] : ['--bootstrap', peers[0].swarm])
    peers.push(peer)
  }
  await Promise.all(peers.map(peer => seesAll(peer, count)))
  const owned = stack.move()
  return { peers, daemons, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

const fakeDaemon = fileURLToPath(new URL('fake-daemon.ts', import.meta.url))

function edit(config: Json, { batching }: BedOptions): void {
  config.consensus.crdt.trusted_peers = ['*']
  if (batching === true) {
    config.consensus.crdt.batching = { max_batch_size: 500, max_batch_age: '2s', max_queue_size: 50_000 }
  }
}

async function seesAll(peer: InteropPeer, count: number): Promise<void> {
  await waitFor(
    async () => {
      const metrics = (await peer.json('/monitor/metrics/freespace')) as readonly Json[] | null
      return (metrics ?? []).length === count
    },
    { timeoutMs: 60_000, what: `${peer.name} sees ${count} peers` },
  )
}

/** The same CIDs in every run: number `index` of a series. */
export function benchCid(series: string, index: number): CID {
  const digest = createHash('sha256').update(`${series} ${index}`).digest()
  return CID.createV1(raw.code, createDigest(SHA2_256, new Uint8Array(digest)))
}

/** Paths of requests for `count` CIDs. */
export function* pinPaths(series: string, count: number, from = 0): Generator<string> {
  for (let index = from; index < from + count; index++) yield `/pins/${benchCid(series, index)}`
}

/** How many pins the daemon has finished since its start. */
export async function completedPins(daemon: string): Promise<number> {
  return Number(await (await fetch(`${daemon}/bench/completed`)).text())
}
