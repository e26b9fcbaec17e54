/**
 * The checks of `@ipfs-shipyard/pinning-service-compliance` against the Pinning Service API of a peer that is a process of its own:
 * `node test/interop/run-pinning-compliance.ts`. Prints a table, and ends with 1 if a check fails.
 *
 * | variable | |
 * |---|---|
 * | `PINNING_COMPLIANCE` | `X/node_modules/@ipfs-shipyard/pinning-service-compliance`, installed with `npm install --ignore-scripts --prefix X @ipfs-shipyard/pinning-service-compliance` |
 * | `PINNING_SPEC` | `ipfs-pinning-service.yaml` of the specification, 1.0.0; without it the tool fetches it from GitHub |
 * | `KUBO_BIN` | pins with this Kubo; without it with the built-in node |
 */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { raceSignal } from '@ipfs-cluster/base'
import { kuboBinary, startProcess, startRealKubo } from '@ipfs-cluster/testkit'
import { startCluster } from '../e2e/cluster.ts'
import { tokenOf, withPinningService } from '../e2e/pinning-service.ts'
import { withKubo } from '../e2e/with-kubo.ts'
import { stablePorts } from './ports.ts'

/** The tool asks once a second, some fifty times. */
const DEADLINE_MS = 300_000
const LOGIN = { user: 'compliance', password: 'of the specification' }

const { PINNING_COMPLIANCE: tool, PINNING_SPEC: specification } = process.env
if (tool === undefined || !existsSync(join(tool, 'dist/src/index.js'))) {
  throw new Error('PINNING_COMPLIANCE does not name the folder of @ipfs-shipyard/pinning-service-compliance')
}

await using stack = new AsyncDisposableStack()
const kubo = kuboBinary === undefined ? undefined : stack.use(await startRealKubo(kuboBinary))
const [port = 0] = await stablePorts(1)
stack.use(
  await startCluster(1, config =>
    withPinningService(kubo === undefined ? config : withKubo(config, kubo.api), { port, login: LOGIN }),
  ),
)
const url = `http://127.0.0.1:${port}`
const token = await tokenOf(url, LOGIN)
await using running = await startProcess(process.execPath, [
  ...overrides(specification),
  join(tool, 'dist/src/index.js'),
  '--serviceAndToken',
  url,
  token,
])
const { code, stdout, stderr } = await raceSignal(running.exited, AbortSignal.timeout(DEADLINE_MS))
const checks = checksIn(stdout)
console.log(`| check | result |\n|---|---|`)
for (const [title, passed] of checks) console.log(`| ${title} | ${passed ? 'passed' : 'FAILED'} |`)
const passed = checks.filter(([, each]) => each).length
console.log(
  `\n${passed} of ${checks.length} checks, with ${kubo === undefined ? 'the built-in node' : 'Kubo'}`,
)
if (passed < checks.length) console.log(stdout)
assert.equal(code, 0, stderr)
process.exitCode = checks.length > 0 && passed === checks.length ? 0 : 1

/** Of the summary at the end of what the tool prints. */
function checksIn(output: string): [title: string, passed: boolean][] {
  const summary = output.slice(output.lastIndexOf('Summary ('))
  return [...summary.matchAll(/^ +(\S+) (.+)$/gm)].map(([, icon, title = '']) => [title, icon === '🟢'])
}

/**
 * Has the tool read the specification from a file: no test shall need the internet. And what its libraries want of Node and is no longer there is put
 * back.
 */
function overrides(file: string | undefined): string[] {
  const hook = `
    import { registerHooks } from 'node:module'
    import util from 'node:util'
    util.isArray ??= Array.isArray
    util.isObject ??= value => typeof value === 'object' && value !== null
    for (const type of ['Function', 'Number', 'String', 'Undefined']) {
      util['is' + type] ??= value => typeof value === type.toLowerCase()
    }
    const file = ${JSON.stringify(file ?? null)}
    if (file !== null)
    registerHooks({
      load(url, context, next) {
        const module = next(url, context)
        if (!url.endsWith('/dist/src/utils/constants.js')) return module
        const source = String(module.source).replace(/const specLocation = .*/, 'const specLocation = ' + JSON.stringify(file))
        return { ...module, source }
      },
    })`
  return ['--import', `data:text/javascript,${encodeURIComponent(hook)}`]
}
