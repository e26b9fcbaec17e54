import { createInterface } from 'node:readline/promises'
import type { CommandIo } from './io.ts'

export interface Prompt extends Disposable {
  /** The next line of the input, without blanks around it; empty at its end. */
  ask(question: string): Promise<string>
  /** Anything but yes is no, after `CONFIRM_TRIES` answers that are neither. */
  confirm(question: string): Promise<boolean>
}

const CONFIRM_TRIES = 3

/**
 * Questions on stdout, as Go puts them. One reader for all of them: what it has read ahead from a pipe answers the next question. The
 * input is left alone until the first one.
 */
export function createPrompt({ stdin, stdout }: Pick<CommandIo, 'stdin' | 'stdout'>): Prompt {
  let reader: ReturnType<typeof createInterface> | undefined
  let lines: AsyncIterator<string> | undefined
  const ask = async (question: string) => {
    stdout.write(question)
    reader ??= createInterface({ input: stdin })
    lines ??= reader[Symbol.asyncIterator]()
    const line = await lines.next()
    return line.done === true ? '' : line.value.trim()
  }
  return {
    ask,
    async confirm(question) {
      for (let tries = 0; tries < CONFIRM_TRIES; tries++) {
        const answer = (await ask(`${question} [y/n]: `)).toLowerCase()
        if (answer === 'y') return true
        if (answer === 'n' || answer === '') return false
        stdout.write("Please press either 'y' or 'n'\n")
      }
      return false
    },
    [Symbol.dispose]: () => reader?.close(),
  }
}
