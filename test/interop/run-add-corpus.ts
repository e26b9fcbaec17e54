/**
 * Adds every case of the corpus with Kubo and with us, over HTTP and, where it can lie on a disk, by both command lines, and compares names,
 * CIDs, order and sizes: `node test/interop/run-add-corpus.ts [--only <text>] [--http] [--record]`. It fails on a difference without a verdict
 * (`add-corpus-run.ts`). Needs `KUBO_BIN`. `--http` leaves the command lines out. `--record` writes what Kubo says to `fixtures/kubo-add-corpus.json`, for `add-corpus.test.ts`.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { runProcess, startRealKubo, waitFor } from '@ipfs-cluster/testkit'
import { bin } from '../e2e/cluster.ts'
import { addCorpus, type AddCase } from './add-corpus.ts'
import { cliFlags } from './add-corpus-content.ts'
import { addToCluster, addToKubo, brief, verdictOf, type Outcome } from './add-corpus-run.ts'
import { LOOPBACK, preparePeer } from './peers.ts'
import { stablePorts } from './ports.ts'

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    record: { type: 'boolean', default: false },
    http: { type: 'boolean', default: false },
  },
})
const { KUBO_BIN = '' } = process.env
const CTL = bin('ipfs-cluster-ctl')
const SHOWN_LINES = 4

await using stack = new AsyncDisposableStack()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void stack.disposeAsync().finally(() => process.exit(1)))
}
const folder = await mkdtemp(join(tmpdir(), 'add-corpus-'))
stack.defer(() => rm(folder, { recursive: true, force: true }))
const kubo = stack.use(await startRealKubo(KUBO_BIN))
const kuboUrl = `http://127.0.0.1:${kubo.api.split('/').at(-1)}`
const [swarmPort = 0, restPort = 0] = await stablePorts(2)
const peer = stack.use(
  await preparePeer({
    kind: 'ts',
    name: 'peer',
    folder: join(folder, 'peer'),
    place: LOOPBACK,
    swarmPort,
    restPort,
    kuboApi: kubo.api,
    secret: randomBytes(32).toString('hex'),
  }),
)
await peer.start()

const FIXTURE = new URL('fixtures/kubo-add-corpus.json', import.meta.url)
/** With `--only`, what is not looked at stays as it is. */
const recorded: Record<string, string> = values.only === '' ? {} : JSON.parse(await readFile(FIXTURE, 'utf8'))
const kept = new Map<string, number>()
let [compared, unexplained] = [0, 0]
for (const each of addCorpus()) {
  if (!each.id.includes(values.only)) continue
  const [wanted, is] = await Promise.all([addToKubo(kuboUrl, each), addToCluster(peer.rest, each)])
  compare(each, 'HTTP', wanted, is)
  if (each.isLarge !== true) recorded[each.id] = brief(wanted)
  if (!values.http && each.onDisk === true && wanted !== 'refused') await compareCommandLines(each)
}
// A root is only pinned when all that lies below it has come to the daemon.
await waitFor(async () => (await peer.list('/pins?filter=queued,pinning')).length === 0, {
  what: 'nothing is being pinned',
  timeoutMs: 60_000,
})
const pins = await peer.list('/pins')
const lost = pins.filter(({ peer_map }) => peer_map[peer.id]?.status !== 'pinned')
for (const { cid, peer_map } of lost)
  console.log(`${cid} is not pinned: ${JSON.stringify(peer_map[peer.id])}`)

console.log(`\n${compared} comparisons, ${pins.length} roots pinned; ${unexplained} differences to explain`)
for (const [why, count] of kept) console.log(`${String(count).padStart(5)}  ${why}`)
if (values.record) await writeFile(FIXTURE, `${JSON.stringify(recorded, null, 2)}\n`)
process.exitCode = unexplained + lost.length === 0 ? 0 : 1

function compare(each: AddCase, by: string, wanted: Outcome, is: Outcome): void {
  compared++
  if (JSON.stringify(wanted) === JSON.stringify(is)) return
  const why = verdictOf(each, by)
  if (why !== undefined) {
    kept.set(why, (kept.get(why) ?? 0) + 1)
    return
  }
  unexplained++
  console.log(`${each.id} (${by})\n  Kubo: ${shown(wanted, is)}\n  is:   ${shown(is, wanted)}`)
}

function shown(outcome: Outcome, other: Outcome): string {
  if (outcome === 'refused') return outcome
  const from = Math.max(
    0,
    outcome.findIndex((line, index) => line !== other[index]),
  )
  return `${outcome.length} lines, from ${from}: ${JSON.stringify(outcome.slice(from, from + SHOWN_LINES)).slice(0, 500)}`
}

/** With and without hidden files, and with less to say. */
async function compareCommandLines(each: AddCase): Promise<void> {
  const work = join(folder, 'work')
  await mkdir(work, { recursive: true })
  try {
    await write(work, each)
    const tops = each.entries().map(({ path }) => path.split('/')[0] ?? '')
    const paths = each.args ?? [...new Set(tops)]
    const hasHidden = each.entries().some(({ path }) => /(^|\/)\./.test(path))
    const variants = hasHidden ? [['--hidden'], [], ['-H', '-q']] : [[]]
    if (each.id.startsWith('a bit')) variants.push(['-Q'], ['-H', '-Q'])
    for (const variant of variants) {
      const line = (program: 'ipfs' | 'ctl') => ['add', '-r', ...variant, ...cliFlags(program, each.flags)]
      const [wanted, is] = await Promise.all([
        run(
          KUBO_BIN,
          ['--api', kubo.api, ...line('ipfs'), '--only-hash', '--progress=false', '--', ...paths],
          work,
        ),
        run(CTL, ['--host', `/ip4/127.0.0.1/tcp/${restPort}`, ...line('ctl'), ...paths], work),
      ])
      compare(each, `command line ${variant.join(' ')}`.trim(), wanted, is)
    }
  } finally {
    await rm(work, { recursive: true })
  }
}

async function run(program: string, args: readonly string[], cwd: string): Promise<Outcome> {
  const { code, stdout, stderr } = await runProcess(program, args, { cwd })
  if (code !== 0) console.log(`${program} ${args.join(' ')}: ${stdout}${stderr}`.slice(0, 500))
  return code === 0 ? stdout.split('\n').map(program === KUBO_BIN ? unescaped : line => line) : 'refused'
}

/** Kubo's command line writes what is not printable, and then backslashes too, as in Go's source; Go's ctl and ours write it as it is. */
function unescaped(line: string): string {
  return line.replace(
    /\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|([tnr\\]))/g,
    (_, x, u, long, sign) =>
      sign === undefined
        ? String.fromCodePoint(Number.parseInt(x ?? u ?? long, 16))
        : ({ t: '\t', n: '\n', r: '\r' }[sign as string] ?? '\\'),
  )
}

async function write(work: string, each: AddCase): Promise<void> {
  for (const { path, kind, data } of each.entries()) {
    const full = join(work, path)
    await mkdir(kind === 'directory' ? full : dirname(full), { recursive: true })
    if (kind === 'file') await writeFile(full, data)
    if (kind === 'symlink') await symlink(Buffer.from(data).toString(), full)
  }
}
