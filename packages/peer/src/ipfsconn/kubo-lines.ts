/** Reads a short answer of Kubo as it arrives: JSON objects one a line, or an error. */
import { asError } from '@ipfs-cluster/base'
import { badAnswer, IpfsError, requestFailed } from './errors.ts'
import { failureOfBody, messageOf, parseLine } from './kubo-answer.ts'
import type { AnswerReader } from './kubo-answer-parser.ts'
import type { RequestMetrics } from './metrics.ts'

/** Characters of an error, or of one line, at most. */
const MAX_TEXT = 1024 * 1024

export interface LineReader extends AnswerReader {
  readonly path: string
  /** Why the request failed, as far as the daemon has told; `undefined` when it went well. */
  failure(): IpfsError | undefined
  /** The message of a daemon that refused; costs less than an error that nobody wants. */
  refusal(): string | undefined
  /** No more will come. */
  closed(): void
}

export function createLineReader(
  path: string,
  onAnswer: (answer: unknown) => void,
  metrics: RequestMetrics,
): LineReader {
  let status: number | undefined
  let text = ''
  let ended = false
  let failed: IpfsError | undefined

  const line = (content: string) => {
    if (content.trim() === '' || failed !== undefined) return
    try {
      onAnswer(parseLine(path, content))
    } catch (error) {
      failed = error instanceof IpfsError ? error : badAnswer(path, asError(error).message, error)
    }
  }

  return {
    path,
    head(code) {
      status = code
    },
    body(part) {
      metrics.received(part.length)
      text += part
      if (status === 200) {
        let end = text.indexOf('\n')
        while (end >= 0) {
          line(text.slice(0, end))
          text = text.slice(end + 1)
          end = text.indexOf('\n')
        }
      }
      if (text.length > MAX_TEXT) throw badAnswer(path, `the answer is larger than ${MAX_TEXT} characters`)
    },
    end(trailerError) {
      ended = true
      if (status === 200) line(text)
      if (trailerError !== undefined) failed ??= requestFailed(path, 200, trailerError)
    },
    failure() {
      if (failed !== undefined || (ended && status === 200)) return failed
      return ended ? failureOfBody(path, status ?? 0, text) : badAnswer(path, 'no answer')
    },
    refusal: () => (ended && status !== 200 ? messageOf(text) : undefined),
    closed: () => metrics.ended(status),
  }
}
