/** Many pins or unpins in one request, whose answers come while it is sent; what has none when a connection breaks is sent again. */
import type { AbortOptions, Clock } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { ApiError } from '../api-error.ts'
import { writePinLine } from '../bulk.ts'
import { cidText } from '../cid.ts'
import { bulkAnswerCodec, type BulkAnswer } from '../json/index.ts'
import { ROUTES } from '../routes.ts'
import type { Pin, PinOptions } from '../types.ts'
import { createOutbox, MAX_UNANSWERED, type Outbox } from './outbox.ts'
import type { Sender, SenderCall } from './sender.ts'

/** Attempts in a row that bring no answer, all hosts together being one. */
const MAX_ATTEMPTS = 6
/** Before the second of them; it doubles up to the other. Milliseconds. */
const FIRST_PAUSE_MS = 250
const LONGEST_PAUSE_MS = 4_000
/** Requests at a time to a peer that has no route for many, such as those of Go. */
const SINGLE_REQUESTS = 32

/** A CID, or one with options of its own. */
export type PinLine = CID | ({ readonly cid: CID } & Partial<PinOptions>)

export interface PinManyArgs {
  /** Read as the peer takes them, a few thousand ahead of the answers. */
  readonly pins: Iterable<PinLine> | AsyncIterable<PinLine>
  /** Of all pins that have none of their own. */
  readonly options?: Partial<PinOptions>
}

export interface UnpinManyArgs {
  readonly cids: Iterable<CID> | AsyncIterable<CID>
}

/** The requests for one CID, which stand in where a peer has none for many. */
export interface SingleCalls {
  pin(args: { cid: CID; options?: Partial<PinOptions> }, options: AbortOptions): Promise<Pin>
  unpin(args: { cid: CID }, options: AbortOptions): Promise<Pin>
}

export interface BulkContext {
  readonly sender: Sender
  readonly clock: Clock
  /** False: a request is sent as a whole before its answer is read. */
  readonly streams: boolean
  readonly singles: () => SingleCalls
}

/** One answer for each pin, in order. @throws as every stream of the client, when attempts in a row have brought no answer. */
export function pinMany(
  context: BulkContext,
  { pins, options: common }: PinManyArgs,
  options: AbortOptions = {},
): AsyncGenerator<BulkAnswer> {
  const { path, query } = ROUTES.pinMany.encode(common === undefined ? {} : { options: common })
  return bulk(context, options, {
    call: { method: 'POST', path: query === undefined ? path : `${path}?${query}` },
    source: pins,
    toLine: pin => (isCid(pin) ? writePinLine(pin) : writePinLine(pin.cid, pin)),
    single(pin) {
      const { cid, ...own } = isCid(pin) ? { cid: pin } : pin
      return answerOf(cid, context.singles().pin({ cid, options: { ...common, ...own } }, options))
    },
  })
}

/** One answer for each CID, in order. @throws as `pinMany`. */
export function unpinMany(
  context: BulkContext,
  { cids }: UnpinManyArgs,
  options: AbortOptions = {},
): AsyncGenerator<BulkAnswer> {
  return bulk(context, options, {
    call: { method: 'DELETE', path: ROUTES.unpinMany.encode({}).path },
    source: cids,
    toLine: cid => writePinLine(cid),
    single: cid => answerOf(cid, context.singles().unpin({ cid }, options)),
  })
}

function isCid(pin: PinLine): pin is CID {
  return 'multihash' in pin
}

interface Bulk<T> {
  readonly call: Pick<SenderCall, 'method' | 'path'>
  readonly source: Iterable<T> | AsyncIterable<T>
  readonly toLine: (item: T) => string
  readonly single: (item: T) => Promise<BulkAnswer>
}

async function* bulk<T>(
  context: BulkContext,
  options: AbortOptions,
  { call, source, toLine, single }: Bulk<T>,
): AsyncGenerator<BulkAnswer> {
  const outbox = createOutbox(source, toLine, context.clock)
  let failures = 0
  try {
    while (await outbox.hasMore()) {
      const before = outbox.answered
      try {
        yield* attempt(context, outbox, call, options)
      } catch (error) {
        options.signal?.throwIfAborted()
        const moved = outbox.answered > before
        if (!moved && lacksRoute(error)) return yield* inOrder(outbox.items(), SINGLE_REQUESTS, single)
        failures = moved ? 0 : failures + 1
        if ((!moved && !isPassing(error)) || failures >= MAX_ATTEMPTS) throw error
        const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures)
        await context.clock.sleep(pause, options)
      }
    }
  } finally {
    outbox.close()
  }
}

async function* attempt(
  { sender, streams }: BulkContext,
  outbox: Outbox<unknown>,
  call: Pick<SenderCall, 'method' | 'path'>,
  options: AbortOptions,
): AsyncGenerator<BulkAnswer> {
  const headers = { 'Content-Type': 'application/x-ndjson' }
  const body = outbox.body(streams ? undefined : MAX_UNANSWERED)
  const answer = await sender.send({ ...call, headers, body }, options)
  const before = outbox.answered
  for await (const line of answer.stream(bulkAnswerCodec)) {
    outbox.answer()
    yield line
  }
  // The peer may stop and cannot always say why: who reads no trailers is not told.
  const ok = streams ? outbox.finished : outbox.answered > before
  if (ok) return
  throw new ApiError('the answer ended before every line had one', { code: 'API_UNREACHABLE', hosts: [] })
}

/** Whether the same may work a little later, or at another host. */
function isPassing(error: unknown): boolean {
  if (!(error instanceof ApiError)) return false
  return error.code === 'API_UNREACHABLE' || (error.data.code === 'API_ERROR' && error.data.status === 429)
}

function lacksRoute(error: unknown): boolean {
  if (!(error instanceof ApiError) || error.data.code !== 'API_ERROR') return false
  return error.data.status === 404 || error.data.status === 405
}

async function answerOf(cid: CID, done: Promise<Pin>): Promise<BulkAnswer> {
  try {
    await done
    return { cid: cidText(cid), error: null }
  } catch (error) {
    if (!(error instanceof ApiError) || error.data.code !== 'API_ERROR') throw error
    const { status, message } = error.data
    return { cid: cidText(cid), error: { code: status, message } }
  }
}

/** At most `limit` calls at once; their results in the order of the items. */
async function* inOrder<T, R>(
  items: AsyncIterable<T>,
  limit: number,
  map: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const running: Promise<R>[] = []
  for await (const item of items) {
    const call = map(item)
    // Awaited below, in its turn.
    call.catch(() => undefined)
    running.push(call)
    if (running.length >= limit) yield (await running.shift()) as R
  }
  for (const call of running) yield await call
}
