// Runs the tests: all `*.test.ts` of the packages, or the files and folders named as arguments. Options of `node --test` pass through.
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { availableParallelism } from 'node:os'
import { packagedNode } from '../packages/base/launcher.mjs'

const { existsSync, globSync, statSync } = fs

if (globSync === undefined) {
  // Too old to run this file: start again on the packaged Node.
  process.exit(spawnSync(packagedNode(), process.argv.slice(1), { stdio: 'inherit' }).status ?? 1)
}

const args = process.argv.slice(2)
const options = args.filter(arg => arg.startsWith('--'))
const paths = args.filter(arg => !arg.startsWith('--'))
const named = paths.flatMap(path =>
  existsSync(path) && statSync(path).isDirectory() ? globSync(`${path}/**/*.test.ts`) : [path],
)

if (paths.length > 0) process.exit(runTests(named, options))
// Those of the packages use the process they run in; the others start whole clusters, which want the machine for themselves.
const statuses = [
  runTests(globSync('packages/*/src/**/*.test.ts'), [
    `--test-concurrency=${availableParallelism()}`,
    ...options,
  ]),
  runTests(globSync(['test/**/*.test.ts', 'scripts/**/*.test.ts']), options),
]
process.exit(Math.max(...statuses))

function runTests(files, flags) {
  if (files.length === 0) {
    console.error(`no test file in: ${paths.join(' ')}`)
    return 1
  }
  const run = spawnSync(process.execPath, ['--test', '--test-timeout=300000', ...flags, ...files.sort()], {
    stdio: 'inherit',
  })
  return run.status ?? 1
}
