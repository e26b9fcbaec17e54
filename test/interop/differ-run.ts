/** Sends cases to both sides, one after the other, each to both at once, in equal states. */
import { setTimeout as delay } from 'node:timers/promises'
import type { DifferCase } from './differ-case.ts'
import { compare, normalise, type Difference } from './differ-compare.ts'
import { converse, type Conversation } from './differ-http.ts'
import type { Side } from './differ-world.ts'

/** Beyond Go's RPC deadline of 15 s. */
const ANSWER_MS = 25_000
/** Worth a line while running. */
const SLOW_MS = 1_000
/** Daemons work on a pin at their own pace; a state that differs for longer is left to the next answer to show. */
const SETTLE_MS = 2_500
const STABLE_MS = 60
const BUSY = '/pins?local=true&filter=queued,pinning,unpinning'

export interface Sides {
  readonly go: Side
  readonly ours: Side
}

export interface RunOptions {
  readonly scenario: string
  /** Off where the tracker cannot come to rest. */
  readonly settle?: boolean
}

export async function runCases(
  { go, ours }: Sides,
  cases: readonly DifferCase[],
  { scenario, settle = true }: RunOptions,
): Promise<Difference[]> {
  const found: Difference[] = []
  for (const each of cases) {
    if (settle) await settled(go, ours)
    const start = performance.now()
    const [fromGo, fromOurs] = await Promise.all([send(go, each), send(ours, each)])
    const took = Math.round(performance.now() - start)
    if (took > SLOW_MS) console.error(`${took} ms: ${each.name}`)
    using goTalk = fromGo
    using ourTalk = fromOurs
    found.push(
      ...(await compare(
        scenario,
        each,
        { conversation: goTalk, names: go.names() },
        { conversation: ourTalk, names: ours.names() },
      )),
    )
    if (each.undo !== undefined) {
      const [a, b] = await Promise.all([send(go, each.undo), send(ours, each.undo)])
      a[Symbol.dispose]()
      b[Symbol.dispose]()
    }
  }
  return found
}

function send(side: Side, { request, methods, halfClose }: DifferCase): Promise<Conversation> {
  const bytes = Buffer.from(request(side.fill), 'latin1')
  return converse(side.port, { bytes, methods, ...(halfClose === undefined ? {} : { halfClose }) }, ANSWER_MS)
}

/** Until both work on the same pins, or on none. */
async function settled(go: Side, ours: Side): Promise<void> {
  const until = performance.now() + SETTLE_MS
  let before = ''
  let last: readonly [string, string] = ['', '']
  while (performance.now() < until) {
    const [a, b] = await Promise.all([busy(go), busy(ours)])
    last = [a, b]
    if (a === b && (a === '' || a === before)) return
    before = a === b ? a : ''
    await delay(STABLE_MS)
  }
  console.error(`busy with different pins: ${last.map(text => text.slice(0, 300)).join(' <> ')}`)
}

async function busy(side: Side): Promise<string> {
  const { body = '' } = await get(side.port, BUSY)
  const lines = body.split('\n').filter(line => line !== '')
  return lines
    .map(line => normalise(line, side.names()))
    .sort()
    .join('\n')
}

async function get(port: number, target: string): Promise<{ readonly body?: string }> {
  const bytes = Buffer.from(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
  using talk = await converse(port, { bytes, methods: ['GET'] }, ANSWER_MS)
  return talk.responses[0] ?? {}
}
