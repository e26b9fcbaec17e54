/** Requests without a body whose answers are short: what is asked of every pin. */
import { anySignal, createStallGuard, type AbortOptions } from '@ipfs-cluster/base'
import { timedOut } from './errors.ts'
import { failureTold, type KuboCalls } from './kubo-calls.ts'
import { createLineReader, type LineReader } from './kubo-lines.ts'
import { NoAnswer } from './kubo-request.ts'
import type { WireClient } from './kubo-wire.ts'

export interface ShortRequest extends AbortOptions {
  /** Of the whole exchange; none when the caller watches it himself. */
  readonly timeoutMs?: number
}

export interface ShortAnswer {
  /** The JSON objects of the answer. */
  readonly answers: readonly unknown[]
  /** The daemon's message when it refused. */
  readonly refusal: string | undefined
}

/** Resolves when the daemon has ended its answer well. */
export async function ask(
  calls: KuboCalls,
  wire: WireClient,
  path: string,
  onAnswer: (answer: unknown) => void,
  request: ShortRequest,
): Promise<void> {
  const reader = createLineReader(path, onAnswer, calls.measure())
  await post(calls, wire, [reader], request)
  const error = reader.failure()
  if (error !== undefined) throw error
}

/** Several questions in one piece, answered one after the other. */
export async function askMany(
  calls: KuboCalls,
  wire: WireClient,
  paths: readonly string[],
  request: ShortRequest,
): Promise<ShortAnswer[]> {
  const answers = paths.map((): unknown[] => [])
  const readers = paths.map((path, i) =>
    createLineReader(path, answer => answers[i]?.push(answer), calls.measure()),
  )
  await post(calls, wire, readers, request)
  return readers.map((reader, i) => ({ answers: answers[i] ?? [], refusal: reader.refusal() }))
}

/** Sends them over one connection. Rejects only when none of them can have an answer. */
async function post(
  calls: KuboCalls,
  wire: WireClient,
  readers: readonly LineReader[],
  request: ShortRequest,
): Promise<void> {
  const { clock, brake, logger, underWay, trace } = calls
  const path = readers[0]?.path ?? ''
  const { timeoutMs } = request
  underWay.closing.throwIfAborted()
  request.signal?.throwIfAborted()
  using deadline = timeoutMs === undefined ? undefined : createStallGuard(clock, timeoutMs)
  const signal = anySignal(request.signal, deadline?.signal)
  const headers = { ...trace() }
  using _call = underWay.begin()
  try {
    if (brake.isOn()) await brake.pass(anySignal(underWay.closing, signal) ?? underWay.closing)
    logger.debug({ path }, 'posting to IPFS')
    await wire.post(
      readers.map(reader => ({ path: reader.path, headers, reader })),
      signal,
    )
    brake.reached()
  } catch (error) {
    if (request.signal?.aborted === true) throw request.signal.reason
    if (underWay.closing.aborted) throw underWay.closing.reason
    if (deadline?.signal.aborted === true) throw timedOut(path, timeoutMs ?? 0)
    if (error instanceof NoAnswer) brake.failed()
    throw failureTold(calls, path, error)
  } finally {
    for (const reader of readers) reader.closed()
  }
}
