/** Clusters to measure: peers of one implementation, each beside a daemon that pins without work. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { kuboBinary, startProcess, startRealKubo, waitFor } from '@ipfs-cluster/testkit'
import { LOOPBACK, preparePeer, type InteropPeer, type Json, type Kind } from '../interop/peers.ts'
import { stablePorts } from '../interop/ports.ts'

export { benchCid, pinPath, pinPaths } from './cids.ts'

export interface BedOptions {
  readonly kind: Kind
  readonly peers?: number
  /** What the peers are started on; `embedded` is our built-in node, which pins for real. @default 'fake' */
  readonly daemon?: 'fake' | 'kubo' | 'embedded'
  /** 500 pins or 2 s, queue of 50,000, as in Go's measurements. */
  readonly batching?: boolean
  /** Of a pin, on the daemon. */
  readonly pinDelayMs?: number
  /** The daemon has had so many pins of `HELD_SERIES` from before. */
  readonly heldPins?: number
  /** Share of CIDs that the daemon never gets. */
  readonly deadShare?: number
  readonly env?: Readonly<Record<string, string>>
  /** Changes `service.json` further. */
  readonly edit?: (config: Json) => void
}

export interface Bed extends AsyncDisposable {
  readonly peers: readonly InteropPeer[]
  /** `http://…/api/v0` of each daemon; none of a built-in node. */
  readonly daemons: readonly string[]
  /** Of real daemons. */
  readonly daemonPids: readonly number[]
  /** Starts one more peer, with an empty pinset; it need not see the others yet. */
  join(): Promise<InteropPeer>
}

/** Starts everything; peers see each other when it resolves. Disposal removes the folders. */
export async function startBed(options: BedOptions): Promise<Bed> {
  await using stack = new AsyncDisposableStack()
  /** Who has what is started: the caller, once everything runs. */
  let owner = stack
  const folder = await mkdtemp(join(tmpdir(), 'bench-'))
  stack.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }))
  const secret = randomBytes(32).toString('hex')
  const count = options.peers ?? 1
  const peers: InteropPeer[] = []
  const daemons: string[] = []
  const daemonPids: number[] = []
  const startPeer = async () => {
    const { api: kuboApi, pid } = await startDaemon(options, owner)
    if (pid !== undefined) daemonPids.push(pid)
    const port = /\/tcp\/(\d+)/.exec(kuboApi ?? '')?.[1]
    if (port !== undefined) daemons.push(`http://127.0.0.1:${port}/api/v0`)
    const [swarmPort = 0, restPort = 0] = await stablePorts(2)
    const peer = owner.use(
      await preparePeer({
        kind: options.kind,
        name: `${options.kind}${peers.length}`,
        folder: join(folder, String(peers.length)),
        place: LOOPBACK,
        swarmPort,
        restPort,
        secret,
        ...(kuboApi === undefined ? {} : { kuboApi }),
        env: { ...profileEnv(options.kind), ...options.env },
        edit: config => edit(config, options),
      }),
    )
    await peer.start(peers[0] === undefined ? [] : ['--bootstrap', peers[0].swarm])
    peers.push(peer)
    return peer
  }
  for (let index = 0; index < count; index++) await startPeer()
  await Promise.all(peers.map(peer => seesAll(peer, count)))
  owner = stack.move()
  return { peers, daemons, daemonPids, join: startPeer, [Symbol.asyncDispose]: () => owner.disposeAsync() }
}

/** Nothing of a built-in node. */
interface Daemon {
  /** Multiaddr. */
  readonly api?: string | undefined
  readonly pid?: number
}

async function startDaemon(options: BedOptions, stack: AsyncDisposableStack): Promise<Daemon> {
  const { daemon = 'fake', pinDelayMs = 0, deadShare = 0, heldPins = 0 } = options
  if (daemon === 'embedded') return {}
  if (daemon === 'kubo') return stack.use(await startRealKubo(kuboBinary ?? 'KUBO_BIN is not set'))
  const args = [fakeDaemon, ...[pinDelayMs, deadShare, heldPins].map(String)]
  const started = await startProcess(process.execPath, args, { ready: /\/ip4\/127\.0\.0\.1\/tcp\/\d+/ })
  return { api: stack.use(started).readyMatch?.[0] }
}

/** BENCH_PROFILE names a folder for CPU profiles of our peers. */
function profileEnv(kind: Kind): Readonly<Record<string, string>> {
  const folder = process.env['BENCH_PROFILE']
  return kind === 'go' || folder === undefined
    ? {}
    : { NODE_OPTIONS: `--cpu-prof --cpu-prof-interval 500 --cpu-prof-dir=${folder}` }
}

const fakeDaemon = fileURLToPath(new URL('fake-daemon.ts', import.meta.url))

function edit(config: Json, { batching, edit: further }: BedOptions): void {
  config.consensus.crdt.trusted_peers = ['*']
  if (batching === true) {
    config.consensus.crdt.batching = { max_batch_size: 500, max_batch_age: '2s', max_queue_size: 50_000 }
  }
  further?.(config)
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

/** How many pins the daemon has finished since its start. */
export function completedPins(daemon: string): Promise<number> {
  return askDaemon(daemon, 'completed')
}

/** How many CIDs are pinned on the daemon; not the same, since some peers pin a CID more than once. */
export function pinnedOn(daemon: string): Promise<number> {
  return askDaemon(daemon, 'pinned')
}

async function askDaemon(daemon: string, what: string): Promise<number> {
  return Number(await (await fetch(`${daemon}/bench/${what}`)).text())
}
