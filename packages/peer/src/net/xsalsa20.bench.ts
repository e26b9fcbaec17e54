/** What the cipher of private networks costs: `npm run bench -- --rooms xsalsa20`. */
import { randomBytes } from 'node:crypto'
import { createXsalsa20, fastestEngine, KEY_BYTES, NONCE_BYTES, plainEngine } from './xsalsa20.ts'

const TOTAL_BYTES = 256 * 1024 * 1024
const FEWEST = 2000

for (const size of [64, 1500, 65_536, 262_144]) {
  for (const [name, engine, share] of [
    ['WebAssembly', fastestEngine(), 1],
    ['JavaScript', plainEngine, 20],
  ] as const) {
    const cipher = createXsalsa20(randomBytes(KEY_BYTES), randomBytes(NONCE_BYTES), engine)
    const input = randomBytes(size)
    const times = Math.ceil(Math.max(FEWEST, Math.min(TOTAL_BYTES / size, 200_000)) / share)
    for (let i = 0; i < times / 10; i++) cipher.update(input)
    const began = process.cpuUsage()
    for (let i = 0; i < times; i++) cipher.update(input)
    const { user, system } = process.cpuUsage(began)
    const rate = (times * size) / (user + system)
    console.log(`${name}, ${size} bytes at a time: ${rate.toFixed(0)} MB a second of CPU`)
  }
}
