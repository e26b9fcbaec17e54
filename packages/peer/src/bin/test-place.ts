/** For tests of the commands: a config folder, and commands on it in this process. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { STORE_FOLDER } from '../config/index.ts'
import { run } from './run.ts'

export interface Outside {
  readonly input?: Readable
  readonly env?: Readonly<Record<string, string>>
  readonly onSignal?: (handler: (name: string) => void) => Disposable
}

export const noSignals = () => ({ [Symbol.dispose]: () => undefined })

export const service = (folder: string, line: string, outside?: Outside) =>
  runLine(['-c', folder, ...line.split(' ')], outside)

/** Runs the program in this process. */
export async function runLine(
  words: readonly string[],
  { input, env = {}, onSignal = noSignals }: Outside = {},
) {
  const [stdout, stderr] = [collector(), collector()]
  const code = await run(words, {
    stdin: input ?? Readable.from([]),
    stdout: stdout.stream,
    stderr: stderr.stream,
    env,
    pid: process.pid,
    hostname: 'a-host',
    onSignal,
    exit(code) {
      throw new Error(`exited with ${code}`)
    },
  })
  return { code, stdout: stdout.text(), stderr: stderr.text() }
}

function collector() {
  let all = ''
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      all += chunk.toString()
      done()
    },
  })
  return { stream, text: () => all }
}

/** A folder with a configuration, and commands on it. */
export async function makePlace(root: string, flags = '') {
  const folder = join(mkdtempSync(join(root, 'p-')), 'config')
  const made = await service(folder, `init ${flags}`.trim())
  assert.equal(made.code, 0, made.stderr)
  const state = (line: string, outside?: Outside) => service(folder, `state ${line}`, outside)
  return {
    folder,
    store: join(folder, STORE_FOLDER),
    state,
    file: (name: string, content?: string) => {
      const path = join(folder, name)
      if (content !== undefined) writeFileSync(path, content)
      return path
    },
    read: (name: string) => readFileSync(join(folder, name), 'utf8'),
    async filled(pins: readonly string[]) {
      const { code, stderr } = await state('import -f', { input: Readable.from(pins) })
      assert.equal(code, 0, stderr)
    },
    async pins() {
      const { code, stdout, stderr } = await state('export')
      assert.equal(code, 0, stderr)
      return stdout.split(/(?<=\n)/).filter(each => each !== '')
    },
  }
}

export type Place = Awaited<ReturnType<typeof makePlace>>
