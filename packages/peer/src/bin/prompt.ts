import type { Readable } from 'node:stream'
import type { CommandIo } from './io.ts'

export interface Prompt extends Disposable {
  /** The next line of the input, without blanks around it; empty at its end, and when the prompt is disposed of. */
  ask(question: string): Promise<string>
  /** By the first word of the answer. Anything but yes is no, after `CONFIRM_TRIES` answers that are neither. */
  confirm(question: string): Promise<boolean>
}

const CONFIRM_TRIES = 3
const LINE_FEED = 10

/**
 * Questions on stdout, as Go puts them. What follows an answer in the input stays there: the next question takes it, or whoever reads the
 * input afterwards. The input is left alone until the first question.
 */
export function createPrompt({ stdin, stdout }: Pick<CommandIo, 'stdin' | 'stdout'>): Prompt {
  const closed = new AbortController()
  const ask = async (question: string) => {
    stdout.write(question)
    return (await readLine(stdin, closed.signal)).trim()
  }
  return {
    ask,
    async confirm(question) {
      for (let tries = 0; tries < CONFIRM_TRIES; tries++) {
        const [answer = ''] = (await ask(`${question} [y/n]: `)).toLowerCase().split(/\s/)
        if (answer === 'y') return true
        if (answer === 'n' || answer === '') return false
        stdout.write("Please press either 'y' or 'n'\n")
      }
      return false
    },
    [Symbol.dispose]: () => closed.abort(),
  }
}

/** Pauses the input behind the line. An input that fails has ended. */
async function readLine(input: Readable, closed: AbortSignal): Promise<string> {
  if (closed.aborted || input.readableEnded || input.destroyed) return ''
  const parts: Buffer[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  const done = () => resolve()
  const onData = (chunk: Buffer | string) => {
    const bytes = Buffer.from(chunk as Buffer)
    const end = bytes.indexOf(LINE_FEED)
    parts.push(end < 0 ? bytes : bytes.subarray(0, end))
    if (end < 0) return
    input.pause()
    input.removeListener('data', onData)
    if (end + 1 < bytes.length) input.unshift(bytes.subarray(end + 1))
    done()
  }
  const ends = ['end', 'close', 'error']
  for (const event of ends) input.on(event, done)
  closed.addEventListener('abort', done)
  input.on('data', onData).resume()
  await promise
  input.pause().removeListener('data', onData)
  for (const event of ends) input.removeListener(event, done)
  closed.removeEventListener('abort', done)
  return Buffer.concat(parts).toString('utf8')
}
