// `npm run bench [-- NAME…]`: every `*.bench.ts`, or those whose path contains a NAME. Each prints its own figures.
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { packagedNode } from '../packages/base/launcher.mjs'

const names = process.argv.slice(2)
if (fs.globSync === undefined) {
  // Too old to run this file: start again on the packaged Node.
  process.exit(spawnSync(packagedNode(), process.argv.slice(1), { stdio: 'inherit' }).status ?? 1)
}
const files = fs.globSync('packages/*/src/**/*.bench.ts').sort()
const chosen = files.filter(file => names.length === 0 || names.some(name => file.includes(name)))
if (chosen.length === 0) {
  console.error(`no benchmark named ${names.join(', ')}; there are:\n${files.join('\n')}`)
  process.exit(1)
}
let failed = 0
for (const file of chosen) {
  console.log(`\n# ${file}`)
  if (spawnSync(process.execPath, ['--expose-gc', file], { stdio: 'inherit' }).status !== 0) failed++
}
process.exit(failed === 0 ? 0 : 1)
