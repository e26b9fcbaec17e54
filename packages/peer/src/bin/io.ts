import type { Readable, Writable } from 'node:stream'

/** The process, as a command sees it. */
export interface CommandIo {
  readonly stdin: Readable
  readonly stdout: Writable
  readonly stderr: Writable
  readonly env: Readonly<Record<string, string | undefined>>
  readonly pid: number
  readonly hostname: string
  /** Calls `handler` for SIGINT, SIGTERM and SIGHUP. */
  onSignal(handler: (name: string) => void): Disposable
  /** Ends the process at once. */
  exit(code: number): never
}

/** Ends the program: the text goes to stderr as `error <doing>: <message>`, as in Go. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly doing: string

  constructor(doing: string, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause })
    this.doing = doing
  }
}

/** Runs a step; its failure becomes a `CommandError` that says what was being done. */
export async function step<T>(doing: string, work: () => Promise<T> | T): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw error instanceof CommandError ? error : new CommandError(doing, error)
  }
}
