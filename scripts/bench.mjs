/**
 * `npm run bench [-- SCENARIO… OPTIONS]` measures whole peers (`test/bench/run.ts`). `npm run bench -- --rooms [NAME…]` runs every
 * `*.bench.ts`, or those whose path contains a NAME; each prints its own figures.
 */
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { packagedNode } from '../packages/base/launcher.mjs'

if (fs.globSync === undefined) {
  // Too old to run this file: start again on the packaged Node.
  process.exit(spawnSync(packagedNode(), process.argv.slice(1), { stdio: 'inherit' }).status ?? 1)
}
const [first, ...names] = process.argv.slice(2)
process.exit(first === '--rooms' ? rooms() : run('test/bench/run.ts', process.argv.slice(2)))

function rooms() {
  const files = fs.globSync(['packages/*/src/**/*.bench.ts', 'test/**/*.bench.ts']).sort()
  const chosen = files.filter(file => names.length === 0 || names.some(name => file.includes(name)))
  if (chosen.length === 0) {
    console.error(`no benchmark named ${names.join(', ')}; there are:\n${files.join('\n')}`)
    return 1
  }
  let failed = 0
  for (const file of chosen) {
    console.log(`\n# ${file}`)
    if (run(file, []) !== 0) failed++
  }
  return failed === 0 ? 0 : 1
}

/** @param {string} file @param {string[]} args */
function run(file, args) {
  return spawnSync(process.execPath, ['--expose-gc', file, ...args], { stdio: 'inherit' }).status ?? 1
}
