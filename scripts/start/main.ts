/** `npm start`: see `options.ts` for what it takes and README for what it is for. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { TRACKER_STATUS, type GlobalPinInfo } from '@ipfs-cluster/api'
import { createClient, type ClusterClient } from '@ipfs-cluster/api/client'
import { createNodeTransport } from '@ipfs-cluster/api/node'
import { errorMessage, systemClock } from '@ipfs-cluster/base'
import { CID } from 'multiformats/cid'
import { startDaemons, type Daemons } from './daemons.ts'
import { preparePeers, type PeerFolder } from './folders.ts'
import { parseOptions, USAGE, type StartOptions } from './options.ts'
import { createDisplay, formatBytes, type Display, type PeerRow } from './table.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const CTL = join(ROOT, 'packages/ctl/bin/ipfs-cluster-ctl.mjs')
const SHOW_EVERY_MS = 300
const MEET_TIMEOUT_MS = 60_000
/** How long the last table waits for what the peers say of their space. */
const BYTES_WAIT_MS = 3_000
/** Without any change in what is pinned for this long, `--once` gives up. */
const STALL_TIMEOUT_MS = 120_000

interface Running {
  readonly peers: readonly PeerFolder[]
  readonly clients: readonly ClusterClient[]
  readonly daemons: Daemons
  readonly display: Display
  readonly signal: AbortSignal
}

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2))
  if (options.help) {
    process.stdout.write(USAGE)
    return 0
  }
  const paths = await checkPaths(options.paths)
  const stop = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.once(name, () => stop.abort(new Error('stopped')))
  await using stack = new AsyncDisposableStack()
  const data = await dataFolder(options.data, stack)
  const peers = await preparePeers(data, options.peers)
  const daemons = stack.use(startDaemons(peers))
  const clients = peers.map(peer =>
    createClient({ hosts: [peer.restUrl] }, { transport: createNodeTransport() }),
  )
  const running: Running = {
    peers,
    clients,
    daemons,
    display: createDisplay(process.stdout),
    signal: stop.signal,
  }
  try {
    await meet(running)
    const roots = await addAll(running, paths, options)
    await replicate(running, roots, options)
    sayWhere(running, roots, data, options)
    if (options.once) return 0
    await Promise.race([untilAborted(stop.signal), daemons.failed])
    return 0
  } catch (error) {
    if (!stop.signal.aborted) throw error
    return options.once ? 1 : 0
  } finally {
    running.display.say('Stopping the peers…')
  }
}

async function checkPaths(given: readonly string[]): Promise<string[]> {
  const paths = given.length === 0 ? [join(ROOT, 'docs')] : given.map(path => resolve(path))
  for (const path of paths) {
    await stat(path).catch((cause: unknown) => {
      throw new Error(`cannot add ${path}: ${errorMessage(cause)}`, { cause })
    })
  }
  return paths
}

async function dataFolder(given: string | undefined, stack: AsyncDisposableStack): Promise<string> {
  if (given !== undefined) {
    const folder = resolve(given)
    await mkdir(folder, { recursive: true })
    return folder
  }
  const folder = await mkdtemp(join(tmpdir(), 'ipfs-cluster-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** Waits until every peer sees every other, and knows how much space it has. */
async function meet({ peers, clients, daemons, display, signal }: Running): Promise<void> {
  display.say(`Starting ${peers.length} peers…`)
  const deadline = AbortSignal.any([signal, systemClock.timeout(MEET_TIMEOUT_MS)])
  const sees = async (client: ClusterClient) => {
    while (true) {
      try {
        const ids = await Array.fromAsync(client.peers({}, { signal: deadline }))
        const free = await client.metrics({ name: 'freespace' }, { signal: deadline })
        const answering = ids.filter(id => id.error === '' && id.ipfs.error === '')
        if (answering.length === peers.length && free.length === peers.length) return
      } catch (error) {
        deadline.throwIfAborted()
        // Not listening yet.
        if (errorMessage(error) === '') throw error
      }
      await systemClock.sleep(SHOW_EVERY_MS, { signal: deadline })
    }
  }
  await Promise.race([Promise.all(clients.map(sees)), daemons.failed]).catch((cause: unknown) => {
    if (!deadline.aborted || signal.aborted) throw cause
    throw new Error(
      `the peers do not see each other after ${MEET_TIMEOUT_MS / 1000} s; their logs are in ${peers[0]?.folder}/..`,
      { cause },
    )
  })
  display.say(`${peers.length} peers see each other.`)
}

interface Root {
  readonly path: string
  readonly cid: CID
}

/** Adds every path through the first peer, with the table going on. */
async function addAll(running: Running, paths: readonly string[], options: StartOptions): Promise<Root[]> {
  const { peers, display } = running
  const roots: Root[] = []
  for (const path of paths) {
    const bytes = await sizeOf(path)
    const started = performance.now()
    const adding = ctlAdd(peers[0] as PeerFolder, path, options, running.signal)
    const done = new AbortController()
    const showing = showWhile(running, `Adding ${basename(path)} (${formatBytes(bytes)})`, roots, done.signal)
    try {
      roots.push({ path, cid: await Promise.race([adding, running.daemons.failed]) })
    } finally {
      done.abort()
      await showing
    }
    const seconds = (performance.now() - started) / 1000
    display.say(
      `added ${roots.at(-1)?.cid} ${basename(path)}: ${formatBytes(bytes)} in ${seconds.toFixed(1)} s, ${formatBytes(bytes / seconds)}/s`,
    )
  }
  return roots
}

async function ctlAdd(
  peer: PeerFolder,
  path: string,
  { replicas }: StartOptions,
  signal: AbortSignal,
): Promise<CID> {
  const { hostname, port } = new URL(peer.restUrl)
  const copies = ['--rmin', String(replicas), '--rmax', String(replicas)]
  const args = [
    CTL,
    '--host',
    `/ip4/${hostname}/tcp/${port}`,
    'add',
    '-r',
    '-Q',
    '--name',
    basename(path),
    ...copies,
    path,
  ]
  try {
    const { stdout } = await promisify(execFile)(process.execPath, args, { signal })
    return CID.parse(stdout.trim())
  } catch (cause) {
    const { stdout = '', stderr = '' } = cause as { stdout?: string; stderr?: string }
    throw new Error(`cannot add ${path}: ${`${stderr}${stdout}`.trim() || errorMessage(cause)}`, { cause })
  }
}

async function showWhile(
  running: Running,
  title: string,
  roots: readonly Root[],
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const rows = await rowsOf(running, roots).catch(() => undefined)
    // A look that failed is made up for by the next.
    if (rows !== undefined && !signal.aborted) running.display.show(title, rows)
    await systemClock.sleep(SHOW_EVERY_MS, { signal }).catch(() => undefined)
  }
}

/** Waits until every root has its copies, showing the table. */
async function replicate(
  running: Running,
  roots: readonly Root[],
  { replicas }: StartOptions,
): Promise<void> {
  const { clients, daemons, display, signal } = running
  const first = clients[0] as ClusterClient
  let pinned = -1
  let changedAt = performance.now()
  let doneAt: number | undefined
  while (true) {
    const infos = await Promise.race([
      Promise.all(roots.map(({ cid }) => first.status({ cid }, { signal }))),
      daemons.failed,
    ])
    const copies = infos.map(
      info => statusesOf(info).filter(status => status === TRACKER_STATUS.pinned).length,
    )
    const rows = await rowsOf(running, roots)
    display.show(
      `Replicating ${roots.length} root${roots.length === 1 ? '' : 's'}, ${replicas} copies each`,
      rows,
    )
    if (copies.every(count => count >= replicas)) {
      doneAt ??= performance.now()
      // Sizes come with the peers' next metrics: the last table should have them.
      const late = rows.some(row => row.pinned > 0 && row.bytes === 0)
      if (!late || performance.now() - doneAt > BYTES_WAIT_MS) return
    }
    const total = copies.reduce((sum, count) => sum + count, 0)
    if (total !== pinned) changedAt = performance.now()
    pinned = total
    if (performance.now() - changedAt > STALL_TIMEOUT_MS)
      throw new Error(`nothing was pinned for ${STALL_TIMEOUT_MS / 1000} s: ${problems(infos)}`)
    await systemClock.sleep(SHOW_EVERY_MS, { signal })
  }
}

function statusesOf(info: GlobalPinInfo): number[] {
  return Object.values(info.peerMap).map(peer => peer.status)
}

function problems(infos: readonly GlobalPinInfo[]): string {
  const errors = infos.flatMap(info =>
    Object.values(info.peerMap).map(peer => (peer.error === '' ? '' : `${peer.peerName}: ${peer.error}`)),
  )
  return errors.find(error => error !== '') ?? 'no peer reports an error'
}

async function rowsOf({ peers, clients, signal }: Running, roots: readonly Root[]): Promise<PeerRow[]> {
  const first = clients[0] as ClusterClient
  const [infos, metrics] = await Promise.all([
    Promise.all(roots.map(({ cid }) => first.status({ cid }, { signal }))),
    first.metrics({ name: 'freespace' }, { signal }),
  ])
  return peers.map(peer => {
    const here = infos.map(info => info.peerMap[peer.id]?.status ?? 0)
    const free = metrics.find(metric => metric.peer === peer.id)?.weight
    const expected = infos.filter(info => info.allocations?.includes(peer.id) === true).length
    return {
      name: peer.name,
      status: countStatuses(here),
      bytes: free === undefined ? 0 : peer.storageMax - Number(free),
      pinned: here.filter(status => status === TRACKER_STATUS.pinned).length,
      expected,
    }
  })
}

function countStatuses(statuses: readonly number[]): string {
  const names = Object.entries(TRACKER_STATUS)
  const counted = names.map(
    ([name, bit]) => [name, statuses.filter(status => status === bit).length] as const,
  )
  return (
    counted
      .filter(([, count]) => count > 0)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ') || '-'
  )
}

async function sizeOf(path: string): Promise<number> {
  const stats = await stat(path)
  if (!stats.isDirectory()) return stats.size
  const entries = await readdir(path, { recursive: true, withFileTypes: true })
  const files = entries.filter(entry => entry.isFile())
  const sizes = await Promise.all(
    files.map(file => stat(join(file.parentPath, file.name)).then(each => each.size)),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}

function sayWhere(
  { peers, display }: Running,
  roots: readonly Root[],
  data: string,
  options: StartOptions,
): void {
  const first = peers[0] as PeerFolder
  const { hostname, port } = new URL(first.restUrl)
  const lines = [
    '',
    'Everything is pinned.',
    '',
    ...roots.map(({ path, cid }) => `  ${basename(path)}  ${cid}`),
    '',
    ...peers.map(peer => `  ${peer.name}  REST ${peer.restUrl}  gateway ${peer.gatewayUrl}/ipfs/<cid>`),
    '',
    `  node_modules/.bin/ipfs-cluster-ctl --host /ip4/${hostname}/tcp/${port} status`,
    ...(options.data === undefined ? [] : [`  the peers live in ${data}`]),
    ...(options.once ? [] : ['', 'Ctrl-C stops the peers.']),
  ]
  display.say(lines.join('\n'))
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise(done => signal.addEventListener('abort', () => done(), { once: true }))
}

try {
  process.exitCode = await main()
} catch (error) {
  process.stderr.write(`error: ${errorMessage(error)}\n`)
  process.exitCode = 1
}
