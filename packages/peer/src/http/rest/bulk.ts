/** `POST /pins` and `DELETE /pins`: lines are answered while they are read. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  bulkAnswerCodec,
  claimedCid,
  MAX_BULK_LINE,
  parsePinLine,
  parseUnpinLine,
  writeDone,
  type BulkLine,
  type PinOptions,
} from '@ipfs-cluster/api'
import {
  CodedError,
  createStallGuard,
  errorMessage,
  raceSignal,
  type AbortOptions,
  type Clock,
} from '@ipfs-cluster/base'
import { CID } from 'multiformats/cid'
import type { Cluster, Outcomes, PinAsked, UnpinAsked } from '../../cluster/index.ts'
import { httpStatusOf, requestLines, RETRY_AFTER_S, sendStream, takeTimeouts } from '../common/index.ts'

/**
 * Lines that are committed together. While one group is written the next is prepared and the one after that is read, so some four times as many
 * are in memory for a request.
 */
const GROUP_LINES = 2_000
/** The same in bytes. */
const GROUP_BYTES = 1024 * 1024

export interface BulkTimeouts {
  /** Milliseconds in which some of the body must come when we wait for it; 0 = none. */
  readonly readTimeoutMs: number
  /** Milliseconds in which the client must take some of the answer; 0 = none. */
  readonly writeTimeoutMs: number
}

export interface BulkExchange extends BulkTimeouts {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly signal: AbortSignal
  readonly clock: Clock
  readonly formatError: (status: number, message: string) => string
}

/** Reads the body as lines for `handle`, and sends what that gives. A request that moves may take any time. */
export async function serveBulk(
  { request, response, signal, clock, readTimeoutMs, writeTimeoutMs, formatError }: BulkExchange,
  handle: (lines: AsyncIterable<readonly BulkLine[]>) => AsyncIterable<string>,
): Promise<void> {
  takeTimeouts(request)
  using watches = new DisposableStack()
  const watch = (limitMs: number, isWaiting: () => boolean): (() => void) => {
    if (limitMs === 0) return () => undefined
    const guard = watches.use(createStallGuard(clock, limitMs, isWaiting))
    guard.signal.addEventListener('abort', () => request.socket.destroy(), { once: true })
    return guard.progress
  }
  const limits = { maxLines: GROUP_LINES, maxBytes: GROUP_BYTES, maxLineBytes: MAX_BULK_LINE }
  using lines = requestLines(request, limits, signal)
  request.on(
    'data',
    watch(readTimeoutMs, () => lines.starving),
  )
  response.on(
    'drain',
    watch(writeTimeoutMs, () => response.writableNeedDrain),
  )
  await sendStream(response, paced(handle(lines), response, signal), signal, error => {
    const status = httpStatusOf(error)
    if (status === 429) response.setHeader('Retry-After', RETRY_AFTER_S)
    return { status, body: formatError(status, errorMessage(error)) }
  })
}

/** Takes no more while the client does not read. */
async function* paced(
  blocks: AsyncIterable<string>,
  response: ServerResponse,
  signal: AbortSignal,
): AsyncGenerator<string> {
  for await (const block of blocks) {
    if (response.writableNeedDrain) {
      const { promise, resolve } = Promise.withResolvers<void>()
      response.once('drain', resolve)
      await raceSignal(promise, signal)
    }
    yield block
  }
}

type BulkCluster = Pick<Cluster, 'pinMany' | 'unpinMany'>

export function pinLines(
  cluster: BulkCluster,
  lines: AsyncIterable<readonly BulkLine[]>,
  defaults: PinOptions,
  options: AbortOptions,
): AsyncIterable<string> {
  const read = (line: string) => parsePinLine(line, defaults)
  const cidOf = (asked: PinAsked) => (asked instanceof Error ? undefined : asked.cid)
  return answered(lines, read, groups => cluster.pinMany(groups, options), cidOf)
}

export function unpinLines(
  cluster: BulkCluster,
  lines: AsyncIterable<readonly BulkLine[]>,
  options: AbortOptions,
): AsyncIterable<string> {
  const cidOf = (asked: UnpinAsked) => (asked instanceof CID ? asked : undefined)
  return answered(lines, parseUnpinLine, groups => cluster.unpinMany(groups, options), cidOf)
}

interface Group<Asked> {
  readonly lines: readonly BulkLine[]
  readonly asked: readonly Asked[]
}

/** The answers of each group as one text. */
async function* answered<Asked>(
  lines: AsyncIterable<readonly BulkLine[]>,
  read: (line: string) => Asked,
  act: (groups: AsyncIterable<readonly (Asked | Error)[]>) => AsyncIterable<Outcomes>,
  cidOf: (asked: Asked | Error) => CID | undefined,
): AsyncGenerator<string> {
  const underWay: Group<Asked | Error>[] = []
  const groups = async function* () {
    for await (const group of lines) {
      const asked = group.map(line => readLine(line, read))
      underWay.push({ lines: group, asked })
      yield asked
    }
  }
  for await (const outcomes of act(groups())) {
    const group = underWay.shift()
    if (group === undefined) return
    let text = ''
    for (const [i, asked] of group.asked.entries()) {
      const failure = outcomes[i]
      const cid = cidOf(asked)
      text +=
        failure === undefined && cid !== undefined
          ? writeDone(cid)
          : refusal(group.lines[i] ?? null, cid, failure)
    }
    yield text
  }
}

function readLine<Asked>(line: BulkLine, read: (line: string) => Asked): Asked | Error {
  if (line === null) {
    return new CodedError(`the line is longer than ${MAX_BULK_LINE} bytes`, { code: 'BAD_PARAMETER' })
  }
  try {
    return read(line)
  } catch (error) {
    // An error of this line, which is its answer.
    if (error instanceof Error) return error
    throw error
  }
}

function refusal(line: BulkLine, cid: CID | undefined, failure: unknown): string {
  const text = cid === undefined ? claimedCid(line ?? '') : cid.toString()
  const error = { code: httpStatusOf(failure), message: errorMessage(failure) }
  return `${bulkAnswerCodec.stringify({ cid: text, error })}\n`
}
