/**
 * Measures whole peers as their users meet them: `node test/bench/run.ts [SCENARIO…] [--pins N] [--runs N] [--write]`. With
 * IPFS_CLUSTER_GO_BIN it measures the Go implementation beside ours, taking turns. `--write` puts the table into docs/benchmarks.md.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { availableParallelism, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import { goBinary, type Kind } from '../interop/peers.ts'
import { Figures } from './figures.ts'
import { SCENARIOS } from './scenarios.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    pins: { type: 'string', default: '100000' },
    runs: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    write: { type: 'boolean', default: false },
  },
})
const pins = Number(values.pins)
const unknown = positionals.filter(name => SCENARIOS[name] === undefined)
if (unknown.length > 0) {
  console.error(`no scenario ${unknown.join(', ')}; there are: ${Object.keys(SCENARIOS).join(' ')}`)
  process.exit(1)
}
const chosen = positionals.length > 0 ? positionals : Object.keys(SCENARIOS)
const kinds = (goBinary === undefined ? ['ts'] : ['ts', 'go']).filter(
  kind => values.only === '' || kind === values.only,
)

const figures = new Figures()
for (let run = 0; run < Number(values.runs); run++) {
  for (const name of chosen) {
    for (const kind of kinds as Kind[]) {
      const began = performance.now()
      const found = await SCENARIOS[name]?.({ kind, pins })
      figures.add(kind, found ?? [])
      console.error(`${name} ${kind}: ${((performance.now() - began) / 1000).toFixed(1)} s`)
    }
  }
}
const table = figures.table(kinds)
const head = `${availableParallelism()} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}, ${pins.toLocaleString('en')} pins, runs: ${values.runs}; median (least–most).`
console.log(`${head}\n\n${table}`)
if (values.write) await writeTable(`${head}\n\n${table}`)

async function writeTable(text: string): Promise<void> {
  const file = new URL('../../docs/benchmarks.md', import.meta.url)
  const before = await readFile(file, 'utf8')
  const [start, end] = ['<!-- table -->\n', '<!-- end of table -->']
  const from = before.indexOf(start)
  const to = before.indexOf(end)
  if (from < 0 || to < from) throw new Error('docs/benchmarks.md has no place for the table')
  await writeFile(file, before.slice(0, from + start.length) + `\n${text}\n` + before.slice(to))
}
