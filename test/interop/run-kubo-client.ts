/**
 * `kubo-rpc-client` against the IPFS proxy before a real Kubo (KUBO_BIN) and before the built-in node, as a table: `node test/interop/run-kubo-client.ts`.
 * Fails when a check does.
 */
import { errorMessage } from '@ipfs-cluster/base'
import { PROXY_CHECKS } from './kubo-client-checks.ts'
import { skipReason, startWorld, type Daemon } from './kubo-client-worlds.ts'

const DAEMONS: readonly Daemon[] = ['kubo', 'built-in']

const results = new Map<Daemon, string[]>()
for (const daemon of DAEMONS) results.set(daemon, await resultsOf(daemon))

console.log('| `kubo-rpc-client` | before Kubo | before the built-in node |\n|---|---|---|')
for (const [i, { name }] of PROXY_CHECKS.entries()) {
  console.log(`| ${name} | ${DAEMONS.map(daemon => results.get(daemon)?.[i]).join(' | ')} |`)
}
if ([...results.values()].flat().some(result => result.startsWith('FAILED'))) process.exitCode = 1

async function resultsOf(daemon: Daemon): Promise<string[]> {
  const skip = skipReason(daemon)
  if (skip !== false) return PROXY_CHECKS.map(() => `skipped: ${skip}`)
  await using world = await startWorld(daemon)
  const outcomes: string[] = []
  for (const { run } of PROXY_CHECKS) {
    const start = performance.now()
    try {
      await run(world)
      outcomes.push(`ok, ${Math.round(performance.now() - start)} ms`)
    } catch (error) {
      outcomes.push(
        `FAILED: ${errorMessage(error)
          .replaceAll(/[|\n]+/g, ' ')
          .slice(0, 300)}`,
      )
    }
  }
  return outcomes
}
