/** Where the CPU went: `node test/bench/profile.ts FOLDER…` shows the functions with the most time of their own in each profile. */
import { globSync } from 'node:fs'
import { readFile } from 'node:fs/promises'

const SHOWN = 25

interface Profile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

for (const file of process.argv.slice(2).flatMap(folder => globSync(`${folder}/*.cpuprofile`))) {
  const { nodes, samples, timeDeltas } = JSON.parse(await readFile(file, 'utf8')) as Profile
  const own = new Map<number, number>()
  samples.forEach((id, i) => own.set(id, (own.get(id) ?? 0) + (timeDeltas[i] ?? 0)))
  const functions = new Map<string, number>()
  let busy = 0
  for (const { id, callFrame } of nodes) {
    const { functionName, url, lineNumber } = callFrame
    if (functionName === '(idle)') continue
    const micros = own.get(id) ?? 0
    busy += micros
    const place = url.replace(/^file:\/\//, '').replace(/^.*\/(node_modules|packages)\//, '')
    const name = `${functionName || '(anonymous)'} ${place}${place === '' ? '' : `:${lineNumber + 1}`}`
    functions.set(name, (functions.get(name) ?? 0) + micros)
  }
  // The launcher and short commands.
  if (busy < 1e6) continue
  console.log(`\n# ${file}: ${(busy / 1e6).toFixed(1)} s of the main thread`)
  for (const [name, micros] of [...functions].toSorted((a, b) => b[1] - a[1]).slice(0, SHOWN)) {
    console.log(`${((100 * micros) / busy).toFixed(1).padStart(5)} %  ${name}`)
  }
}
