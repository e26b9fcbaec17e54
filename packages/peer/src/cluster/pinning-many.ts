/** Pins and unpins in groups: one look at the state, one round of allocation and one commit for each. */
import { newPin, type Pin, type PinOptions, type PinRequest } from '@ipfs-cluster/api'
import { anySignal, asError, Channel, errorCode, type AbortOptions, type Clock } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { Allocator } from '../allocator/index.ts'
import type { Consensus } from '../consensus/index.ts'
import { pinKey } from '../state/index.ts'
import { pinNotFound } from './errors.ts'
import { checkUnpin, updatedPin } from './prepare.ts'
import type { Outcomes, PinAsked, UnpinAsked } from './types.ts'

/** Prepared groups that wait while another is written. */
const PREPARED_GROUPS = 1
/** How long a group waits for room in the writing queue, and how often it tries. Milliseconds. */
const QUEUE_WAIT_MS = 30_000
const QUEUE_RETRY_MS = 20

export interface ManyPinningComponents {
  readonly consensus: Pick<Consensus, 'state' | 'logPins' | 'logUnpins'>
  readonly clock: Clock
  readonly onPin: (count: number) => void
  readonly createRound: () => Allocator
  /** `preparePin` with the peer's defaults. */
  readonly prepare: (pin: Pin, existing: Pin | undefined, now: bigint) => Pin
  /** The prepared pin with allocations, where it needs some. @throws AllocatorError */
  readonly allocated: (prepared: Pin, existing: Pin | undefined, round: Allocator) => Pin
  /** Unpins the root of sharded content, in a commit of its own: what it shares with others must be decided when all before it is written. */
  readonly unpinSharded: (root: CID, options: AbortOptions) => Promise<unknown>
}

export interface ManyPinning {
  pinMany(groups: AsyncIterable<readonly PinAsked[]>, options?: AbortOptions): AsyncIterable<Outcomes>
  unpinMany(groups: AsyncIterable<readonly UnpinAsked[]>, options?: AbortOptions): AsyncIterable<Outcomes>
}

/** A CID that is decided on, as the pinset will be once all before it is written. */
interface Subject<Value> {
  readonly cid: CID
  readonly pin: Pin | undefined
  /** The pin that an update takes its options from. */
  readonly from: Pin | undefined
  readonly change: (pin: Value) => void
}

/** Decides on one of a group; the groups before and the ones before it in the group are in the subject. What it throws is the outcome. */
type Decide<Asked, Value> = (asked: Asked, subject: Subject<Value>) => Promise<void> | undefined

export function createManyPinning(components: ManyPinningComponents): ManyPinning {
  const { consensus, clock, onPin, createRound, prepare, allocated, unpinSharded } = components

  /** By the metrics, and at the time, of the beginning of the group. */
  const decideOnPins = (): Decide<PinRequest, Pin> => {
    const round = createRound()
    const now = clock.nowNs()
    /** A pin of something that nobody has yet: with the same options, only CID and allocations differ. */
    let fresh: { readonly options: PinOptions; readonly pin: Pin } | undefined
    return ({ options }, { cid, pin: existing, from, change }) => {
      const { pinUpdate } = options
      if (pinUpdate !== null && !pinUpdate.equals(cid)) {
        if (from === undefined) throw pinNotFound(pinUpdate)
        change(updatedPin(from, newPin(cid, options), now))
      } else if (existing !== undefined || pinUpdate !== null) {
        change(allocated(prepare(newPin(cid, options), existing, now), existing, round))
      } else {
        if (fresh?.options !== options)
          fresh = { options, pin: prepare(newPin(cid, options), undefined, now) }
        change(allocated({ ...fresh.pin, cid }, undefined, round))
      }
      return undefined
    }
  }

  const decideOnUnpins =
    (options: AbortOptions): Decide<CID, undefined> =>
    (cid, { pin, change }) => {
      if (pin === undefined) throw pinNotFound(cid)
      checkUnpin(pin)
      if (pin.type === 'meta-pin') return unpinSharded(cid, options).then(() => undefined)
      change(undefined)
      return undefined
    }

  /** Tries again as long as the queue is full: many lines are no reason to refuse one of them. */
  const withRoom = async (write: () => Promise<void>, { signal }: AbortOptions) => {
    const end = clock.monotonic() + QUEUE_WAIT_MS
    while (true) {
      try {
        return await write()
      } catch (error) {
        if (errorCode(error) !== 'CRDT_QUEUE_FULL' || clock.monotonic() >= end) throw error
        await clock.sleep(QUEUE_RETRY_MS, { signal })
      }
    }
  }

  return {
    pinMany: (groups, options = {}) =>
      inGroups<PinRequest, Pin>(groups, options, {
        state: consensus.state,
        cidOf: ({ cid }) => cid,
        fromOf: asked => asked.options.pinUpdate,
        start: decideOnPins,
        async write(changes, writeOptions) {
          const pins = Array.from(changes.values(), ({ pin }) => pin)
          await withRoom(() => consensus.logPins(pins, writeOptions), writeOptions)
          onPin(pins.length)
        },
      }),
    unpinMany: (groups, options = {}) =>
      inGroups<CID, undefined>(groups, options, {
        state: consensus.state,
        cidOf: cid => cid,
        fromOf: () => null,
        start: () => decideOnUnpins(options),
        async write(changes, writeOptions) {
          const cids = Array.from(changes.values(), ({ cid }) => cid)
          await withRoom(() => consensus.logUnpins(cids, writeOptions), writeOptions)
        },
      }),
  }
}

/** The last change of each CID, by its key, in the order of these. */
type Changes<Value> = Map<string, { readonly cid: CID; readonly pin: Value }>

interface GroupWork<Asked, Value> {
  readonly state: Consensus['state']
  readonly cidOf: (asked: Asked) => CID
  readonly fromOf: (asked: Asked) => CID | null
  /** For each group. */
  readonly start: () => Decide<Asked, Value>
  readonly write: (changes: Changes<Value>, options: AbortOptions) => Promise<void>
}

/**
 * Decides on a group while the one before is being written; groups are written one after the other. Left early, it waits for what is being written,
 * and leaves `groups` where it is: that ends with whoever made it.
 */
async function* inGroups<Asked, Value extends Pin | undefined>(
  groups: AsyncIterable<readonly (Asked | Error)[]>,
  options: AbortOptions,
  work: GroupWork<Asked, Value>,
): AsyncGenerator<Outcomes> {
  const left = new AbortController()
  const signal = anySignal(options.signal, left.signal)
  /** Of groups that are not written yet, the oldest first. */
  const pending: Changes<Value>[] = []
  const done = new Channel<Promise<Outcomes>>(PREPARED_GROUPS)
  let last: Promise<unknown> = Promise.resolve()

  const writeAfter = async (before: Promise<unknown>, changes: Changes<Value>, outcomes: Outcomes) => {
    await before
    if (changes.size > 0) await work.write(changes, { signal })
    pending.splice(pending.indexOf(changes), 1)
    return outcomes
  }

  const produce = async () => {
    try {
      for await (const asked of groups) {
        const changes: Changes<Value> = new Map()
        pending.push(changes)
        const outcomes = await decideAll(asked, work, changes, [...pending])
        const written = writeAfter(last, changes, outcomes)
        // Told in its turn.
        written.catch(() => undefined)
        last = written
        if (!(await done.push(written, { signal }))) return
      }
      done.end()
    } catch (error) {
      done.fail(error)
    }
  }

  void produce()
  try {
    for await (const written of done) yield await written
  } finally {
    left.abort(new DOMException('nobody waits for it', 'AbortError'))
    await Promise.allSettled([last])
  }
}

/**
 * @param changes where the changes go.
 * @param layers those of groups that are not written yet, the newest last, taken before reading: what is written meanwhile is seen in one or the other.
 */
async function decideAll<Asked, Value extends Pin | undefined>(
  all: readonly (Asked | Error)[],
  { state, cidOf, fromOf, start }: GroupWork<Asked, Value>,
  changes: Changes<Value>,
  layers: readonly Changes<Value>[],
): Promise<Outcomes> {
  const cids: CID[] = []
  for (const asked of all) {
    if (asked instanceof Error) continue
    const from = fromOf(asked)
    cids.push(cidOf(asked))
    if (from !== null) cids.push(from)
  }
  const stored = await state.getMany(cids, { toChange: true })
  const find = (key: string, position: number): Pin | undefined => {
    for (let i = layers.length - 1; i >= 0; i--) {
      const change = layers[i]?.get(key)
      if (change !== undefined) return change.pin
    }
    return stored[position]
  }
  const put = (key: string, cid: CID, pin: Value) => {
    // The place of the last change counts.
    if (changes.has(key)) changes.delete(key)
    changes.set(key, { cid, pin })
  }
  const decide = start()
  const outcomes: (Error | undefined)[] = []
  let position = 0
  for (const asked of all) {
    if (asked instanceof Error) {
      outcomes.push(asked)
      continue
    }
    const cid = cidOf(asked)
    const key = pinKey(cid)
    const source = fromOf(asked)
    const subject: Subject<Value> = {
      cid,
      pin: find(key, position++),
      from: source === null ? undefined : find(pinKey(source), position++),
      change: pin => put(key, cid, pin),
    }
    try {
      const deciding = decide(asked, subject)
      // Hardly ever: waiting for nothing costs as much as all the rest.
      if (deciding !== undefined) await deciding
      outcomes.push(undefined)
    } catch (error) {
      outcomes.push(asError(error))
    }
  }
  return outcomes
}
