/**
 * `node test/durability/run-kill.ts [--mode single|batched|bulk] [--peers 1|3] [--kills 20] [--seed N]`: kills a peer with SIGKILL at random moments
 * during ingest at full speed and compares what it lists with what it acknowledged. Without `--mode` and `--peers`: all of them.
 */
import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { runKills } from './kill.ts'
import { MODES, type Mode } from './traffic.ts'

const { values } = parseArgs({
  options: {
    mode: { type: 'string' },
    peers: { type: 'string' },
    kills: { type: 'string', default: '20' },
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
  },
})
const seed = Number(values.seed)
console.log(`seed ${seed}`)
let isWell = true
for (const mode of MODES.filter(each => values.mode === undefined || each === values.mode) as Mode[]) {
  for (const peers of values.peers === undefined ? [1, 3] : [Number(values.peers)]) {
    const report = await runKills({ mode, peers, seed, kills: Number(values.kills), log: console.log })
    console.log(mode, `${peers} peers`, JSON.stringify(report))
    isWell &&= report.missing === 0 && report.surplus === 0 && report.differences.length === 0
  }
}
console.log(isWell ? 'nothing acknowledged was lost' : 'LOST')
process.exit(isWell ? 0 : 1)
