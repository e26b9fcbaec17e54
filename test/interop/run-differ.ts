/**
 * The same requests to a Go peer and to ours in the same state: `node test/interop/run-differ.ts [scenario…]`. Prints every difference with
 * what is said of it in `differ-verdicts.ts`; one without a verdict makes it fail.
 */
import { SCENARIOS } from './differ-scenarios.ts'
import { printReport } from './differ-report.ts'
import type { Difference } from './differ-compare.ts'

const wanted = process.argv.slice(2)
const differences: Difference[] = []
let requests = 0
for (const scenario of SCENARIOS) {
  if (wanted.length > 0 && !wanted.includes(scenario.name)) continue
  const start = performance.now()
  const result = await scenario.run()
  requests += result.requests
  differences.push(...result.differences)
  console.error(
    `${scenario.name}: ${result.requests} requests, ${result.differences.length} differences, ${Math.round(performance.now() - start)} ms`,
  )
}
const unexplained = printReport(differences, requests)
if (unexplained > 0) process.exitCode = 1
