import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { waitFor } from './wait-for.ts'

export interface StartOptions {
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** The process is started when its output matches; none = at once. */
  readonly ready?: RegExp
  /** @default 30_000 */
  readonly readyTimeoutMs?: number
  /** Time between SIGTERM and SIGKILL on disposal. @default 10_000 */
  readonly stopTimeoutMs?: number
  /** Written to its standard input, which is then closed. */
  readonly input?: string | Uint8Array
  /** Characters that are kept of each output, at least: of a longer one the end. @default 2^27, a quarter of the longest string */
  readonly keptChars?: number
}

const KEPT_CHARS = 2 ** 27

export interface ExitResult {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** A child process. Disposal stops it (SIGTERM, later SIGKILL) and waits for its end. */
export interface TestProcess extends AsyncDisposable {
  readonly pid: number
  readonly stdout: string
  readonly stderr: string
  /** The match of `ready`. */
  readonly readyMatch: RegExpExecArray | undefined
  kill(signal: NodeJS.Signals): void
  /** Resolves when it has ended. */
  readonly exited: Promise<ExitResult>
}

/** Cut only when it is twice as long: cutting copies. */
const endOf = (text: string, chars: number) => (text.length > 2 * chars ? text.slice(-chars) : text)

/** Starts a program, keeps its output, and waits until it says that it is ready. */
export async function startProcess(
  command: string,
  args: readonly string[],
  options: StartOptions = {},
): Promise<TestProcess> {
  const { ready, readyTimeoutMs = 30_000, stopTimeoutMs = 10_000, keptChars = KEPT_CHARS } = options
  const child = spawn(command, args, {
    env: { ...process.env, ...options.env },
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  })
  let stdout = ''
  let stderr = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout = endOf(stdout + text, keptChars)))
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr = endOf(stderr + text, keptChars)))
  const closed = once(child, 'close')
  // A program that cannot be started is reported by the next line alone.
  closed.catch(() => undefined)
  await once(child, 'spawn')
  if (options.input !== undefined) {
    // It may end without reading all of its input; that shows in its exit.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(options.input)
  }
  const exited = closed.then(([code, signal]): ExitResult => ({ code, signal, stdout, stderr }) as ExitResult)
  const isRunning = () => child.exitCode === null && child.signalCode === null
  const stop = async () => {
    if (isRunning()) child.kill('SIGTERM')
    const late = new AbortController()
    const killLater = async () => {
      await delay(stopTimeoutMs, undefined, { signal: late.signal })
      child.kill('SIGKILL')
    }
    const killing = killLater().catch(() => undefined)
    await exited
    late.abort()
    await killing
  }
  let readyMatch: RegExpExecArray | undefined
  if (ready !== undefined) {
    try {
      readyMatch = await waitFor(
        () => {
          const match = ready.exec(stdout) ?? ready.exec(stderr)
          return match ?? (isRunning() ? undefined : 'ended')
        },
        { timeoutMs: readyTimeoutMs, what: `${ready} in the output of ${command}` },
      ).then(match => {
        if (match === 'ended') throw new Error(`${command} ended before it was ready`)
        return match
      })
    } catch (cause) {
      await stop()
      throw new Error(`${command} ${args.join(' ')} did not start\n${stdout}\n${stderr}`, { cause })
    }
  }
  return {
    pid: child.pid as number,
    get stdout() {
      return stdout
    },
    get stderr() {
      return stderr
    },
    readyMatch,
    kill: signal => void child.kill(signal),
    exited,
    [Symbol.asyncDispose]: stop,
  }
}

/** Runs a program to its end. */
export async function runProcess(
  command: string,
  args: readonly string[],
  options: Omit<StartOptions, 'ready' | 'readyTimeoutMs'> = {},
): Promise<ExitResult> {
  const child = await startProcess(command, args, options)
  return await child.exited
}
