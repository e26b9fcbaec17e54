/**
 * A small mutation-based fuzzer. All inputs follow from the seed and the target's corpus. An input that gives an outcome not seen before
 * (another error text, another size of what was accepted) is mutated further, so that it finds its way deeper than the corpus does.
 */
import { getHeapStatistics } from 'node:v8'
import { errorMessage, type Random, seededRandom } from '@ipfs-cluster/base'
import { mutate } from './mutate.ts'
import type { Target } from './target.ts'

export interface FuzzOptions {
  readonly inputs: number
  readonly seed: number
  /** Called before each input: for a watchdog. */
  readonly before?: (index: number, input: Uint8Array) => void
  /** Stops after so many different failures. @default 5 */
  readonly maxFailures?: number
}

export interface SlowInput {
  readonly index: number
  readonly bytes: number
  /** When it came, and the best of three further times. */
  readonly ms: number
  readonly againMs: number
  readonly hex: string
}

export interface Failure {
  readonly index: number
  readonly kind: 'error' | 'allocation'
  readonly message: string
  readonly stack: string
  readonly hex: string
}

export interface FuzzReport {
  readonly target: string
  readonly seed: number
  readonly inputs: number
  readonly accepted: number
  /** By error code; `-` without an error. */
  readonly refused: ReadonlyMap<string, number>
  readonly slowest: readonly SlowInput[]
  /** The most allocated by one input, for each of its bytes above the target's constant. */
  readonly worstAllocation: { readonly allocated: number; readonly bytes: number; readonly index: number }
  readonly longest: number
  readonly failures: readonly Failure[]
  readonly seconds: number
}

const DEFAULT_MAX_BYTES = 256 * 1024
/** Inputs remembered beside the corpus, and their largest size: mutations of small inputs are quick. */
const POOL_MAX = 2_000
const POOL_INPUT_BYTES = 8 * 1024
const OUTCOMES_MAX = 20_000
const SLOWEST = 5
/** A target that says nothing: parsers may make an object of each byte, and errors cost their stack. */
const DEFAULT_ALLOCATION = { perByte: 320, constant: 1024 * 1024 }
const NOISE_BYTES = 16 * 1024 * 1024

interface State {
  readonly target: Target
  readonly random: Random
  readonly corpusSize: number
  /** The corpus, then inputs that were accepted. */
  readonly accepted: Uint8Array[]
  /** Inputs that were refused each in its own way. */
  readonly odd: Uint8Array[]
  readonly outcomes: Set<string>
  readonly refused: Map<string, number>
  readonly slowest: SlowInput[]
  readonly failures: Map<string, Failure>
  acceptedCount: number
  longest: number
  worst: { allocated: number; bytes: number; index: number }
}

export async function fuzz(target: Target, options: FuzzOptions): Promise<FuzzReport> {
  const { inputs, seed, before, maxFailures = 5 } = options
  const corpus = target.corpus()
  const state: State = {
    target,
    random: seededRandom(seed),
    corpusSize: corpus.length,
    accepted: [...corpus],
    odd: [],
    outcomes: new Set(),
    refused: new Map(),
    slowest: [],
    failures: new Map(),
    acceptedCount: 0,
    longest: 0,
    worst: { allocated: 0, bytes: 0, index: -1 },
  }
  const started = performance.now()
  let index = 0
  // Most inputs end in an error, whose stack would cost more than all the rest; a failure is run again with one.
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    for (; index < inputs && state.failures.size < maxFailures; index++) {
      const input = corpus[index] ?? nextInput(state)
      before?.(index, input)
      await runOne(state, index, seed, input)
    }
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
  return {
    target: target.name,
    seed,
    inputs: index,
    accepted: state.acceptedCount,
    refused: state.refused,
    slowest: state.slowest,
    worstAllocation: state.worst,
    longest: state.longest,
    failures: [...state.failures.values()],
    seconds: (performance.now() - started) / 1000,
  }
}

/** The chance that a target has for the input of this number. */
export function inputRandom(seed: number, index: number): Random {
  return seededRandom(Math.imul(index + 1, 0x9e3779b1) ^ seed)
}

function nextInput({ target, random, accepted, odd }: State): Uint8Array {
  const { maxBytes = DEFAULT_MAX_BYTES } = target
  const other = () => {
    // What was accepted leads further, mostly.
    const pool = odd.length > 0 && random.int(4) === 0 ? odd : accepted
    return pool[random.int(pool.length)] ?? new Uint8Array(0)
  }
  // Most inputs stay small; one in 2000 may grow to the limit.
  const size = random.int(2_000)
  const growTo = size === 0 ? maxBytes : size < 10 ? maxBytes / 16 : size < 100 ? 4_096 : 64
  return mutate(other(), {
    random,
    format: target.format,
    tokens: target.tokens ?? [],
    other,
    maxBytes,
    growTo,
  })
}

async function runOne(state: State, index: number, seed: number, input: Uint8Array): Promise<void> {
  const { target } = state
  state.longest = Math.max(state.longest, input.length)
  const allocatedBefore = allocatedBytes()
  const start = performance.now()
  let outcome: string
  let accepted = false
  try {
    const result = target.run(input, inputRandom(seed, index))
    accepted = typeof result === 'boolean' ? result : await result
    if (accepted) state.acceptedCount++
    else count(state.refused, '-')
    // What is accepted tells itself apart by its size, coarsely.
    outcome = accepted ? `+${Math.floor(Math.log2(input.length + 1) * 4)}` : '-'
  } catch (error) {
    const code = target.refusal(error)
    if (code === undefined) {
      const again = await runAgain(state, { index, seed, input })
      fail(state, 'error', index, input, again ?? error)
    } else count(state.refused, code)
    outcome = `${code}:${errorMessage(error)
      .slice(0, 120)
      .replace(/"[^"]*"|[0-9a-f]{2,}|\d+/g, '#')
      .slice(0, 48)}`
  }
  const ms = performance.now() - start
  const allocated = allocatedBytes() - allocatedBefore
  await checkAllocation(state, { index, seed, input }, allocated)
  const isNew = state.outcomes.size < OUTCOMES_MAX && !state.outcomes.has(outcome)
  if (isNew) state.outcomes.add(outcome)
  if (isNew || state.random.int(accepted ? 50 : 500) === 0) remember(state, input, accepted)
  if (ms > (state.slowest.at(-1)?.ms ?? 0) || state.slowest.length < SLOWEST) {
    await noteSlow(state, { index, seed, input, ms })
  }
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

function remember(
  { corpusSize, accepted, odd, random }: State,
  input: Uint8Array,
  wasAccepted: boolean,
): void {
  if (input.length > POOL_INPUT_BYTES) return
  const [pool, kept] = wasAccepted ? [accepted, corpusSize] : [odd, 0]
  if (pool.length < POOL_MAX + kept) pool.push(input)
  else pool[kept + random.int(POOL_MAX)] = input
}

/** JavaScript objects ever made, and memory outside the heap in use: the second can shrink, so this is at least what was allocated. */
function allocatedBytes(): number {
  const { total_allocated_bytes, external_memory } = getHeapStatistics() as ReturnType<
    typeof getHeapStatistics
  > & { readonly total_allocated_bytes: number }
  return total_allocated_bytes + external_memory
}

/**
 * Measured again when it seems too much: compilers and the allocator's own blocks (some hundred KiB at a time) come in between. What a cache
 * would hide the second time cannot be more than that.
 */
async function checkAllocation(
  state: State,
  given: { readonly index: number; readonly seed: number; readonly input: Uint8Array },
  measured: number,
): Promise<void> {
  const { index, input } = given
  const { perByte, constant } = state.target.allocation ?? DEFAULT_ALLOCATION
  const limit = perByte * input.length + constant
  let allocated = measured
  for (let i = 0; i < 3; i++) {
    if (allocated <= limit || measured > limit + NOISE_BYTES) break
    const before = allocatedBytes()
    await runAgain(state, given)
    allocated = Math.min(allocated, allocatedBytes() - before)
  }
  const beyond = (size: { allocated: number; bytes: number }) =>
    Math.max(0, size.allocated - constant) / Math.max(1, size.bytes)
  const found = { allocated, bytes: input.length, index }
  if (state.worst.index < 0 || beyond(found) > beyond(state.worst)) state.worst = found
  if (allocated <= limit) return
  const allowed = `${perByte} a byte and ${constant}`
  fail(
    state,
    'allocation',
    index,
    input,
    new Error(`${allocated} bytes allocated for ${input.length}; allowed are ${allowed}`),
  )
}

/** The error in which it ends, with its stack. */
async function runAgain(
  { target }: State,
  { index, seed, input }: { readonly index: number; readonly seed: number; readonly input: Uint8Array },
): Promise<unknown> {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 12
  try {
    await target.run(input, inputRandom(seed, index))
    return undefined
  } catch (error) {
    return error
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

function fail(state: State, kind: Failure['kind'], index: number, input: Uint8Array, error: unknown): void {
  const message = errorMessage(error)
  const stack = error instanceof Error ? (error.stack ?? '') : String(error)
  const where =
    kind === 'error'
      ? (stack.match(/\n\s+at .*/g) ?? [])
          .slice(0, 2)
          .join('')
          .replace(/:\d+:\d+/g, '')
      : ''
  const key = `${kind} ${message.replace(/[0-9a-f]{2,}|\d+/gi, '#').slice(0, 60)} ${where}`
  if (state.failures.has(key)) return
  state.failures.set(key, { index, kind, message, stack, hex: Buffer.from(input).toString('hex') })
}

/** Times the input again, as a garbage collection or a compilation may have come in between. */
async function noteSlow(
  state: State,
  { index, seed, input, ms }: { index: number; seed: number; input: Uint8Array; ms: number },
): Promise<void> {
  let againMs = ms
  for (let i = 0; i < 3; i++) {
    const start = performance.now()
    await runAgain(state, { index, seed, input })
    againMs = Math.min(againMs, performance.now() - start)
  }
  state.slowest.push({ index, bytes: input.length, ms, againMs, hex: Buffer.from(input).toString('hex') })
  state.slowest.sort((a, b) => b.againMs - a.againMs)
  state.slowest.length = Math.min(state.slowest.length, SLOWEST)
}
