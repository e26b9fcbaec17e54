/**
 * Both ctls against peers of both kinds, every command and flag, good and bad input: `node test/interop/run-ctl.ts [--only <text>]`. It
 * prints a table of differences and fails when one is not among those that stay (`ctl-compare.ts`). Needs `IPFS_CLUSTER_GO_BIN`,
 * `IPFS_CLUSTER_GO_CTL_BIN`, `KUBO_BIN`, and openssl.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runProcess, startRealKubo, waitFor, type RealKubo } from '@ipfs-cluster/testkit'
import { bin } from '../e2e/cluster.ts'
import { CASES, type CtlCase } from './ctl-cases.ts'
import { normalise, reasonFor, type Field, type Names, type Outcome, type Part } from './ctl-compare.ts'
import * as hosts from './ctl-hosts.ts'
import { LOOPBACK, preparePeer, type InteropPeer, type Kind } from './peers.ts'
import { stablePorts } from './ports.ts'

const { values } = parseArgs({
  options: { only: { type: 'string', default: '' }, show: { type: 'boolean', default: false } },
})
const { KUBO_BIN = '', IPFS_CLUSTER_GO_CTL_BIN = '' } = process.env
const CTLS: Readonly<Record<Kind, string>> = { go: IPFS_CLUSTER_GO_CTL_BIN, ts: bin('ipfs-cluster-ctl') }
const KINDS: readonly Kind[] = ['go', 'ts']
/** Of another cluster. */
const OTHER = '12D3KooWAUjbd3CHGqy7nzCUu1hrM9KaD3D8K1XwaKFudXvCLqGH'
const AWAY = 'QmbrCtydGyPeHiLURSPMqrvE5mCgMCwFYq3UD4XLCeAYw6'
const LONGEST_SHOWN = 500
const SHOWN_LINES = 4

await using stack = new AsyncDisposableStack()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void stack.disposeAsync().finally(() => process.exit(1)))
}
const folder = await mkdtemp(join(tmpdir(), 'ctl-'))
stack.defer(() => rm(folder, { recursive: true, force: true }))
const work = join(folder, 'work')
await makeFiles()
const shared = {
  web: stack.use(await hosts.startWeb()),
  silent: stack.use(await hosts.startSilent()),
  words: stack.use(await hosts.startWords()),
  denies: stack.use(await hosts.startDenies()),
  breaks: stack.use(await hosts.startBreaks()),
}

/** A peer, and what the words in braces mean for it. */
interface Lane {
  readonly peer: InteropPeer
  readonly words: Readonly<Record<string, string>>
  readonly names: Names
  readonly pinned: readonly (readonly [cid: string, query: string])[]
}

const lanes = await Promise.all([startLane('go'), startLane('ts')])
const cases = CASES.filter(each => each.words.join(' ').includes(values.only))
const kept = new Map<string, number>()
let [differences, invocations] = [0, 0]
for (const each of cases) {
  const [[goGo, tsGo], [goTs, tsTs]] = await Promise.all([runBoth(lanes[0], each), runBoth(lanes[1], each)])
  invocations += 4
  if (values.show) console.log(each.words.join(' '), goGo)
  // What differs with one peer is the ctl's, what differs with one ctl is the peer's.
  compare(each, 'ctl', 'with a Go peer', goGo, tsGo)
  compare(each, 'ctl', 'with a TypeScript peer', goTs, tsTs)
  compare(each, 'peer', 'with the Go ctl', goGo, goTs)
}
console.log(`\n${cases.length} command lines, ${invocations} runs: ${differences} differences to explain`)
for (const [why, count] of kept) console.log(`${String(count).padStart(5)}  ${why}`)
process.exitCode = differences === 0 ? 0 : 1

async function runBoth(lane: Lane, each: CtlCase): Promise<[go: Outcome, ts: Outcome]> {
  const outcomes: Outcome[] = []
  for (const ctl of KINDS) {
    if (each.changes) await reset(lane)
    outcomes.push(await invoke(ctl, lane, each))
  }
  return outcomes as [Outcome, Outcome]
}

function compare(each: CtlCase, part: Part, where: string, go: Outcome, is: Outcome): void {
  const line = each.words.join(' ')
  for (const field of ['code', 'stdout', 'stderr'] satisfies Field[]) {
    if (go[field] === is[field]) continue
    const why = reasonFor(line, field, part)
    if (why !== undefined) {
      kept.set(why, (kept.get(why) ?? 0) + 1)
      continue
    }
    differences++
    const [first, second] = [String(go[field]), String(is[field])].map(text => text.split('\n'))
    const from = Math.max(
      0,
      (first ?? []).findIndex((text, index) => text !== second?.[index]),
    )
    const shown = (lines: readonly string[] = []) =>
      JSON.stringify(
        lines
          .slice(from, from + SHOWN_LINES)
          .join('\n')
          .slice(0, LONGEST_SHOWN),
      )
    console.log(`${line}\n  ${part}, ${where}: ${field}\n    go: ${shown(first)}\n    is: ${shown(second)}`)
  }
}

async function invoke(ctl: Kind, lane: Lane, each: CtlCase): Promise<Outcome> {
  const words = each.words.map(word =>
    word.replace(/\{(\w+)\}/g, (whole, name: string) => lane.words[name] ?? whole),
  )
  const env = { TZ: 'UTC', HOME: folder, ...each.env }
  const { code, stdout, stderr } = await runProcess(CTLS[ctl], words, { env, cwd: work })
  return normalise({ code, stdout, stderr }, lane.names, each)
}

async function startLane(kind: Kind): Promise<Lane> {
  const kubo = stack.use(await startRealKubo(KUBO_BIN))
  const [swarmPort = 0, restPort = 0] = await stablePorts(2)
  const own = join(folder, kind)
  const peer = stack.use(
    await preparePeer({
      kind,
      name: 'peer',
      folder: own,
      place: LOOPBACK,
      swarmPort,
      restPort,
      kuboApi: kubo.api,
      secret: randomBytes(32).toString('hex'),
    }),
  )
  await peer.start()
  const socket = join(folder, `${kind}.sock`)
  stack.use(await hosts.startSocket(socket, restPort))
  const tls = stack.use(await hosts.startTls(folder, restPort))
  const { ipfs } = await waitFor(
    async () => {
      const id = await peer.json('/id')
      return id.ipfs.id === '' ? undefined : id
    },
    { what: 'the peer knows its daemon' },
  )
  const at = (port: number) => `/ip4/127.0.0.1/tcp/${port}`
  const content = await addContent(kubo)
  return {
    peer,
    words: {
      ...content,
      host: at(restPort),
      port: String(restPort),
      tls: at(tls.port),
      socket,
      peer: peer.id,
      silent: at(shared.silent.port),
      words: at(shared.words.port),
      denies: at(shared.denies.port),
      breaks: at(shared.breaks.port),
      web: `http://127.0.0.1:${shared.web.port}`,
      other: OTHER,
      away: AWAY,
    },
    names: [
      [peer.id, '<peer>'],
      [ipfs.id, '<ipfs>'],
      [socket, '<socket>'],
      [folder, '<folder>'],
      [`${peer.id.slice(0, 2)}*${peer.id.slice(-6)}`, '<short>'],
      [`${ipfs.id.slice(0, 2)}*${ipfs.id.slice(-6)}`, '<short ipfs>'],
    ],
    pinned: [
      [content.one, 'name=one&meta-k=v'],
      [content.two, 'name=zw%C3%B6%20%3C2%3E&expire-at=2090-01-02T03:04:05Z'],
    ],
  }
}

/** What the command lines talk of, on the daemon only. */
async function addContent(kubo: RealKubo) {
  const add = async (text: string) => (await kubo.ipfs(['add', '-Q', '--pin=false'], text)).trim()
  const dir = (await kubo.ipfs(['add', '-Q', '-r', '--pin=false', join(work, 'd')])).trim()
  await writeFile(join(work, 'tree.car'), await carOf(kubo, dir))
  const free = await add('free')
  const freeV1 = (await kubo.ipfs(['cid', 'base32', free])).trim()
  return { one: await add('content one'), two: await add('content two'), free, freeV1, dir }
}

async function carOf(kubo: RealKubo, root: string): Promise<Uint8Array> {
  const url = `http://127.0.0.1:${kubo.api.split('/').at(-1)}/api/v0/dag/export?arg=${root}&progress=false`
  return new Uint8Array(await (await fetch(url, { method: 'POST' })).arrayBuffer())
}

/** Puts the pinset back to `pinned`, as every run shall find it. */
async function reset({ peer, pinned }: Lane): Promise<void> {
  for (const { cid } of await peer.list('/allocations')) {
    if (!pinned.some(([wanted]) => wanted === cid)) await peer.request('DELETE', `/pins/${cid}`)
  }
  for (const [cid, query] of pinned) await peer.request('POST', `/pins/${cid}?${query}`)
  await waitFor(
    async () => {
      const all = await peer.list('/pins')
      const done = all.every(({ peer_map }) => peer_map[peer.id]?.status === 'pinned')
      return all.length === pinned.length && done
    },
    { what: 'the pinset is as it was', timeoutMs: 20_000, intervalMs: 30 },
  )
}

async function makeFiles(): Promise<void> {
  const files: Readonly<Record<string, string | Uint8Array>> = {
    'one.txt': 'one\n',
    'two.txt': 'two\n',
    'empty.txt': '',
    '-odd': 'odd',
    'bad.car': 'this is no CAR',
    'big.bin': new Uint8Array(700_000).map((_, index) => (index * index) % 251),
    'd/a.txt': 'a\n',
    'd/.hidden': 'hidden',
    'd/sub/b.txt': 'b\n',
    'd/sub/.dot/c': 'c',
    'names/schön и 日本.txt': 'names',
    'names/a+b%20&c.txt': 'signs',
    'names/Z "quoted"': 'quotes',
  }
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(work, name, '..'), { recursive: true })
    await writeFile(join(work, name), content)
  }
  await mkdir(join(work, 'd/empty'))
  await symlink('a.txt', join(work, 'd/link'))
  await symlink('one.txt', join(work, 'link.txt'))
  await symlink('d', join(work, 'link-to-d'))
}
