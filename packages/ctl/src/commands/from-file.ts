/** `pin add` and `pin rm` of every line of a file, in one request. */
import {
  DEFAULT_PIN_OPTIONS,
  parseCid,
  parsePinLine,
  type BulkAnswer,
  type ErrorBody,
  type PinOptions,
} from '@ipfs-cluster/api'
import type { PinLine } from '@ipfs-cluster/api/client'
import { errorMessage } from '@ipfs-cluster/base'
import { text } from '@ipfs-cluster/base/cli'
import type { CID } from 'multiformats/cid'
import { LocalFailure } from '../failure.ts'
import type { Shape } from '../format.ts'
import type { Io } from '../io.ts'
import { createProgress, type Progress } from '../progress.ts'
import type { Session } from '../session.ts'

const STDIN = '-'
const LINE_FEED = 0x0a
/** Characters of a line; a peer takes no more. */
const MAX_LINE = 128 * 1024
/** Of a line that cannot be read, in a message. */
const SHOWN_LINE = 80

export const fromFileFlag = (verb: string) =>
  text('from-file', `${verb} the CIDs of this file, one a line; - is stdin`)

/** What became of the lines that are not blank and no comments. */
export interface BulkSummary {
  readonly verb: string
  readonly done: number
  readonly failed: number
}

export const bulkSummaryShape: Shape<BulkSummary> = {
  json: { stringify: ({ done, failed }) => JSON.stringify({ done, failed }) },
  text: ({ verb, done, failed }) => `${verb} ${done}${failed === 0 ? '' : `, failed ${failed}`}\n`,
}

interface Work<T> {
  /** `pinned` */
  readonly verb: string
  readonly file: string
  readonly read: (line: string) => T
  readonly send: (items: AsyncIterable<T>) => AsyncIterable<BulkAnswer>
}

export async function pinFromFile(session: Session, file: string, options: PinOptions): Promise<void> {
  const read = (line: string): PinLine => {
    if (!isJson(line)) return parseCid(line)
    const pin = parsePinLine(line, options)
    return pin.options === options ? pin.cid : { cid: pin.cid, ...pin.options }
  }
  const send = (pins: AsyncIterable<PinLine>) => session.client.pinMany({ pins, options })
  await runLines(session, { verb: 'pinned', file, read, send })
}

export async function unpinFromFile(session: Session, file: string): Promise<void> {
  const read = (line: string): CID =>
    isJson(line) ? parsePinLine(line, DEFAULT_PIN_OPTIONS).cid : parseCid(line)
  const send = (cids: AsyncIterable<CID>) => session.client.unpinMany({ cids })
  await runLines(session, { verb: 'unpinned', file, read, send })
}

function isJson(line: string): boolean {
  return line.startsWith('{') || line.startsWith('"')
}

/** @throws LocalFailure when a line failed; ApiError when the peer gave up. What was done is told before. */
async function runLines<T>(session: Session, { verb, file, read, send }: Work<T>): Promise<void> {
  const { io } = session
  let [done, failed] = [0, 0]
  await using progress = progressOf(session, file)
  const refuse = async (line: number, what: string, message: string) => {
    failed++
    await progress?.hide()
    await io.stderr(`line ${line}: ${what}: ${message}\n`)
  }
  /** Numbers of the lines that wait for their answer. */
  const numbers: number[] = []
  const items = async function* (): AsyncGenerator<T> {
    for await (const { number, line } of linesOf(file, io)) {
      const bare = line.trim()
      if (bare === '' || bare.startsWith('#')) {
        progress?.add(1)
        continue
      }
      let item: T
      try {
        if (bare.length > MAX_LINE) throw new RangeError(`longer than ${MAX_LINE} characters`)
        item = read(bare)
      } catch (error) {
        await refuse(number, bare.slice(0, SHOWN_LINE), errorMessage(error))
        progress?.add(1)
        continue
      }
      numbers.push(number)
      yield item
    }
  }
  const summarize = async () => {
    await progress?.hide()
    await session.print(bulkSummaryShape, { verb, done, failed })
  }
  try {
    for await (const { cid, error } of send(items())) {
      const number = numbers.shift() ?? 0
      progress?.add(1)
      if (error === null) done++
      else await refuse(number, cid, textOf(error))
    }
  } catch (error) {
    await summarize()
    throw error
  }
  await summarize()
  if (failed > 0) throw new LocalFailure(`reading ${file}`, `${failed} of ${done + failed} lines failed`)
}

function textOf({ code, message }: ErrorBody): string {
  return `${message} (${code})`
}

function progressOf({ io, encoding }: Session, file: string): Progress | undefined {
  if (io.terminal === undefined || encoding === 'json') return undefined
  const total = file === STDIN ? Promise.resolve(undefined) : countLines(io.files.read(file))
  return createProgress(
    io.terminal,
    total,
    io.clock,
    count => `${Math.round(count).toLocaleString('en')} lines`,
  )
}

async function countLines(content: AsyncIterable<Uint8Array>): Promise<number> {
  let count = 0
  let last = LINE_FEED
  for await (const chunk of content) {
    for (let at = chunk.indexOf(LINE_FEED); at >= 0; at = chunk.indexOf(LINE_FEED, at + 1)) count++
    last = chunk.at(-1) ?? last
  }
  return last === LINE_FEED ? count : count + 1
}

async function* linesOf(
  file: string,
  io: Io,
): AsyncGenerator<{ readonly number: number; readonly line: string }> {
  const decoder = new TextDecoder()
  let number = 0
  let rest = ''
  try {
    for await (const chunk of file === STDIN ? io.stdin() : io.files.read(file)) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
      // Of a line without an end only the beginning is kept: it is too long all the same.
      rest = (lines.pop() ?? '').slice(0, MAX_LINE + 1)
      for (const line of lines) yield { number: ++number, line }
    }
  } catch (cause) {
    throw new LocalFailure(`reading ${file}`, cause)
  }
  rest += decoder.decode()
  if (rest !== '') yield { number: number + 1, line: rest }
}
