/**
 * Every command and flag of `ipfs-cluster-service`, run with the Go binary and with ours in fresh folders: `node test/interop/run-service.ts [part of a name]...`.
 * Needs `IPFS_CLUSTER_GO_BIN`. Prints what differs and ends with 1 if anything does that no case accepts.
 */
import { mkdtemp, mkdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { goBinary } from './peers.ts'
import { runCase, type Outcome, type Part, type ServiceCase } from './service-case.ts'
import { initCases } from './service-cases-init.ts'
import { startCases } from './service-cases-start.ts'
import { stateCases } from './service-cases-state.ts'
import { serveConfigurations } from './service-source.ts'

const LINES_SHOWN = 12
/** A Go program that crashes ends with this; its import does now and then, while it closes the datastore. */
const GO_PANIC = '2'
const TRIES = 3
const PARTS: readonly Part[] = ['code', 'stdout', 'stderr', 'files']

if (goBinary === undefined) throw new Error('IPFS_CLUSTER_GO_BIN does not name the Go binary')
for (const name of Object.keys(process.env)) {
  if (/^(CLUSTER_|IPFS_CLUSTER_(PATH|LOG_LEVEL)|GOLOG_|NOTIFY_SOCKET)/.test(name)) delete process.env[name]
}

await using stack = new AsyncDisposableStack()
const root = await mkdtemp(join(tmpdir(), 'service-'))
stack.defer(() => rm(root, { recursive: true, force: true }))
const server = stack.use(await serveConfigurations())

const wanted = process.argv.slice(2)
const cases = [...initCases, ...startCases, ...stateCases].filter(
  ({ name }) => wanted.length === 0 || wanted.some(part => name.includes(part)),
)
const tally = { invocations: 0, same: 0, accepted: 0, different: 0, stale: 0 }
for (const [index, each] of cases.entries()) {
  tally.invocations += each.steps.filter(step => typeof step !== 'function').length
  const [go, ts] = await Promise.all((['go', 'ts'] as const).map(kind => runAs(kind, each, index)))
  if (go !== undefined && ts !== undefined) judge(each, go, ts)
}
console.log(
  `${cases.length} cases, ${tally.invocations} invocations of each: ${tally.same} the same, ${tally.accepted} differ on purpose, ` +
    `${tally.different} differ, ${tally.stale} differences that are none any more`,
)
process.exitCode = tally.different + tally.stale > 0 ? 1 : 0

async function runAs(
  kind: 'go' | 'ts',
  each: ServiceCase,
  index: number,
  tries = 1,
): Promise<Outcome | undefined> {
  const folder = join(root, `${index}-${kind}-${tries}`, 'config')
  const home = join(root, `${index}-${kind}-${tries}`, 'home')
  await mkdir(home, { recursive: true })
  try {
    const outcome = await runCase(each, { kind, folder, home, url: server.url })
    const hasCrashed = outcome.code.split(' ').includes(GO_PANIC) && tries < TRIES
    return hasCrashed ? await runAs(kind, each, index, tries + 1) : outcome
  } catch (error) {
    tally.different++
    console.log(`DIFFERS ${each.name}: ${kind} could not be run: ${String(error)}`)
    return undefined
  }
}

function judge({ name, differs = {} }: ServiceCase, go: Outcome, ts: Outcome): void {
  let verdict: 'same' | 'accepted' | 'different' = 'same'
  for (const part of PARTS) {
    const reason = differs[part]
    if (go[part] === ts[part]) {
      if (reason === undefined) continue
      tally.stale++
      console.log(`STALE ${name}: ${part} is the same; "${reason}" is no difference`)
    } else if (reason === undefined) {
      verdict = 'different'
      console.log(`DIFFERS ${name}: ${part}\n${lineDifference(go[part], ts[part])}`)
    } else {
      if (verdict === 'same') verdict = 'accepted'
      console.log(`accepted ${name}: ${part}: ${reason}`)
    }
  }
  tally[verdict]++
}

/** Lines that only one of the two has. */
function lineDifference(go: string, ts: string): string {
  const [left, right] = [go.split('\n'), ts.split('\n')]
  const only = (from: readonly string[], other: readonly string[]) =>
    from.filter(line => !other.includes(line))
  const lines = [
    ...only(left, right).map(line => `   go: ${line}`),
    ...only(right, left).map(line => `   ts: ${line}`),
  ]
  if (lines.length > LINES_SHOWN)
    lines.splice(LINES_SHOWN, Infinity, `   … and ${lines.length - LINES_SHOWN} more lines`)
  return lines.length > 0 ? lines.join('\n') : `   go: ${JSON.stringify(go)}\n   ts: ${JSON.stringify(ts)}`
}
