/** A cluster of two Go and two TypeScript peers: three with Kubo, one with the built-in node. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { errorMessage } from '@ipfs-cluster/base'
import { kuboBinary, waitFor } from '@ipfs-cluster/testkit'
import { startKubo } from './kubo.ts'
import { LOOPBACK, preparePeer, type InteropPeer, type Json, type Place } from './peers.ts'
import { stablePorts } from './ports.ts'

export interface MixedOptions {
  /** Of the two halves; each runs one Go and one TypeScript peer. @default both on loopback */
  readonly places?: readonly [Place, Place]
  readonly batching?: boolean
  /** Environment of the last TypeScript peer, such as one that moves its clock. */
  readonly lastPeerEnv?: Readonly<Record<string, string>>
  /** Changes `service.json` of each. */
  readonly edit?: (config: Json, name: string) => void
}

/** In the order of the halves: `[go1, ts1]` and `[go2, ts2]`. */
export interface MixedCluster extends AsyncDisposable {
  readonly go1: InteropPeer
  readonly ts1: InteropPeer
  readonly go2: InteropPeer
  readonly ts2: InteropPeer
  readonly peers: readonly InteropPeer[]
  /** Resolves when everybody lists all four and knows how much space they have. */
  whole(timeoutMs?: number): Promise<void>
}

export async function startMixedCluster(options: MixedOptions = {}): Promise<MixedCluster> {
  const [first, second] = options.places ?? [LOOPBACK, LOOPBACK]
  const folder = await mkdtemp(join(tmpdir(), 'mixed-'))
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const secret = randomBytes(32).toString('hex')
  const ports = await stablePorts(8)
  const prepare = async (name: string, place: Place, index: number, withKubo: boolean) => {
    const kubo = withKubo ? stack.use(await startKubo(kuboBinary as string, place)) : undefined
    return stack.use(
      await preparePeer({
        kind: name.startsWith('go') ? 'go' : 'ts',
        name,
        folder: join(folder, name),
        place,
        swarmPort: ports[2 * index] as number,
        restPort: ports[2 * index + 1] as number,
        secret,
        ...(kubo === undefined ? {} : { kuboApi: kubo.api }),
        ...(name === 'ts2' && options.lastPeerEnv !== undefined ? { env: options.lastPeerEnv } : {}),
        edit: config => {
          if (options.batching === true) {
            config.consensus.crdt.batching = { max_batch_size: 500, max_batch_age: '2s' }
          }
          options.edit?.(config, name)
        },
      }),
    )
  }
  const go1 = await prepare('go1', first, 0, true)
  const ts1 = await prepare('ts1', first, 1, true)
  const go2 = await prepare('go2', second, 2, true)
  const ts2 = await prepare('ts2', second, 3, false)
  const peers = [go1, ts1, go2, ts2]
  await go1.start()
  await ts1.start(['--bootstrap', go1.swarm])
  // Go throws away loopback addresses that others tell of, so there the two Go peers must be told of each other.
  await go2.start(['--bootstrap', first === LOOPBACK ? `${go1.swarm},${ts1.swarm}` : ts1.swarm])
  await ts2.start(['--bootstrap', `${go1.swarm},${ts1.swarm}`])
  const whole = async (timeoutMs = 60_000) => {
    await Promise.all(peers.map(peer => seesAll(peer, peers, timeoutMs)))
  }
  await whole()
  const owned = stack.move()
  return { go1, ts1, go2, ts2, peers, whole, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

export async function seesAll(
  peer: InteropPeer,
  all: readonly InteropPeer[],
  timeoutMs: number,
): Promise<void> {
  let seen = ''
  try {
    await waitFor(
      async () => {
        const ids = await peer.list('/peers')
        const free: Json[] = await peer.json('/monitor/metrics/freespace')
        seen = `${ids.map(id => `${id.peername} ${id.error}`).join(', ')}; space of ${free.length}`
        return ids.filter(id => id.error === '').length === all.length && free.length === all.length
      },
      { timeoutMs, intervalMs: 250, what: `${peer.name} sees ${all.length} peers` },
    )
  } catch (error) {
    throw new Error(`${errorMessage(error)}: sees ${seen}\n${notable(peer.log).slice(-3000)}`, {
      cause: error,
    })
  }
}

/** A pin in a form in which equal pins are equal texts; without what Go does not tell. */
export function canonicalPin({ size: _size, max_pin_size: _max, ...pin }: Json): string {
  return JSON.stringify({
    ...pin,
    timestamp: Date.parse(pin.timestamp),
    expire_at: Date.parse(pin.expire_at),
  })
}

export async function pinset(peer: InteropPeer): Promise<string[]> {
  return (await peer.list('/allocations?filter=all')).map(canonicalPin).sort()
}

/** Waits until all have the same pinset; resolves with it and the time it took. */
export async function converged(
  peers: readonly InteropPeer[],
  { timeoutMs = 180_000, expected }: { readonly timeoutMs?: number; readonly expected?: number } = {},
): Promise<{ readonly pins: readonly string[]; readonly ms: number }> {
  const start = performance.now()
  let sizes: readonly number[] = []
  while (true) {
    const sets = await Promise.all(peers.map(pinset))
    sizes = sets.map(set => set.length)
    const texts = sets.map(set => set.join('\n'))
    if (texts.every(text => text === texts[0]) && (expected === undefined || sizes[0] === expected)) {
      return { pins: sets[0] ?? [], ms: performance.now() - start }
    }
    if (performance.now() - start > timeoutMs) {
      throw new Error(`pinsets differ after ${timeoutMs} ms: ${sizes.join(', ')}${firstDifference(sets)}`)
    }
    await delay(200)
  }
}

function firstDifference(sets: readonly (readonly string[])[]): string {
  const [first = new Set<string>(), ...others] = sets.map(set => new Set(set))
  for (const [index, other] of others.entries()) {
    const missing = [...first].find(pin => !other.has(pin))
    const added = [...other].find(pin => !first.has(pin))
    if (missing !== undefined || added !== undefined) {
      return `; peer 1 and ${index + 2}: ${missing ?? '-'} <> ${added ?? '-'}`
    }
  }
  return ''
}

/** A log without the lines of every request. */
export function notable(log: string): string {
  return log
    .split('\n')
    .filter(line => line.trim() !== '' && !/restapilog|\brestapi\b.*HTTP\/1/.test(line))
    .join('\n')
}
