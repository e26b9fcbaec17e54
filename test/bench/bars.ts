/** What is demanded of our figures; beside the Go implementation where it has the feature. */
import type { Kind } from '../interop/peers.ts'

/** The median of a figure at this size of the pinset, else at the largest at which it was measured. */
export type Lookup = (what: string, kind: Kind, pins: number) => number | undefined

export interface Bar {
  readonly text: string
  /** `undefined` when what it is compared with was not measured. */
  holds(own: number, lookup: Lookup, pins: number): boolean | undefined
}

const atLeast = (limit: number, text: string): Bar => ({ text: `≥ ${text}`, holds: own => own >= limit })
const below = (limit: number, text: string): Bar => ({ text: `< ${text}`, holds: own => own < limit })

/** At least `factor` times what this kind of peer has in row `what`. */
const times = (factor: number, kind: Kind, what: string, text: string): Bar => ({
  text: `≥ ${factor} × ${text}`,
  holds: (own, lookup, pins) => {
    const other = lookup(what, kind, pins)
    return other === undefined ? undefined : own >= factor * other
  },
})

const GO_BATCHED = 'ingest, batched, 32 connections'
const COMPLETED = 'completed, 50 ms a pin (limit 200)'
const own = (what: string, factor: number) => ({ [what]: times(factor, 'go', what, 'Go') })
/** What is added through peers; without a Kubo of their own beside Go's with theirs. */
const added = (what: string) => ({
  ...own(`add, ${what}, Kubo`, 1),
  ...own(`add, ${what}, three peers, Kubo`, 1),
  [`add, ${what}, three peers, built-in nodes`]: times(
    1,
    'go',
    `add, ${what}, three peers, Kubo`,
    'Go, Kubo',
  ),
})
/** What is added to the built-in node beside what is given to Kubo itself, which is measured among our rows. */
const asKubo = (what: string) => ({
  [`add, ${what}, built-in node`]: times(1, 'ts', `add, ${what}, Kubo without a peer`, 'Kubo'),
})

export const BARS: Readonly<Record<string, Bar>> = {
  ...own('ingest, unbatched, 1 connection', 1.5),
  'ingest, unbatched, 32 connections': times(1, 'go', GO_BATCHED, 'Go batched'),
  ...own(GO_BATCHED, 1),
  'bulk pins': times(5, 'go', GO_BATCHED, 'Go batched'),
  ...own('GET /allocations', 2),
  'GET /allocations: first byte': below(50, '50'),
  'GET /allocations: memory growth': below(64, '64'),
  'ingest during GET /allocations, of its speed alone': atLeast(50, '50'),
  ...own('GET /pins of three peers', 3),
  'GET /pins of three peers: first byte': below(100, '100'),
  ...own('GET /pins/{cid}, 32 connections', 1),
  'GET /pins/{cid} during ingest, 32 connections: p99': below(20, '20'),
  'filter=error, local, 3 errors': below(20, '20'),
  'filter=error, all peers, 3 errors': below(20, '20'),
  'start until REST answers': below(1000, '1,000'),
  'recover with nothing to do': below(100, '100'),
  'filling a large pinset: peak memory': below(600, '600'),
  'memory, idle after ingest': below(300, '300'),
  'memory, idle after a restart': below(300, '300'),
  'memory, idle after listings': below(300, '300'),
  disk: below(600, '600'),
  'disk after a restart': below(600, '600'),
  'churn: disk after 4 rounds': {
    text: '≤ Go / 3',
    holds: (own, lookup, pins) => {
      const go = lookup('churn: disk after 4 rounds', 'go', pins)
      return go === undefined ? undefined : own <= go / 3
    },
  },
  [`${COMPLETED}: of what the daemon can do`]: atLeast(97, '97'),
  'completed, with 20 % dead among them': times(0.9, 'ts', COMPLETED, 'without'),
  ...asKubo('one file'),
  ...asKubo('files of 4 KiB'),
  ...asKubo('one CAR'),
  ...added('one file'),
  ...added('files of 4 KiB'),
  ...added('one CAR'),
}
