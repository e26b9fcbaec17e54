import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/** Below the range from which systems give ports to outgoing connections: those of a busy test would take a port before its peer starts. */
const FIRST = 15_000
const END = 32_000

/** Different ports that are free now. */
export async function stablePorts(count: number): Promise<number[]> {
  const ports = new Set<number>()
  while (ports.size < count) {
    const port = randomInt(FIRST, END)
    if (await isFree(port)) ports.add(port)
  }
  return [...ports]
}

function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, () => server.close(() => resolve(true)))
  })
}
