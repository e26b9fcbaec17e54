import { errorCode, errorMessage } from '@ipfs-cluster/base'

/** ETIME: waiting took too long. */
const TIMED_OUT = 62
/** ECANCELED. */
export const CANCELLED = 125

/** Something failed here, not at the peer: `error <doing>: <message>` on stderr. */
export class LocalFailure extends Error {
  readonly doing: string

  constructor(doing: string, cause: unknown) {
    super(fileMessage(cause), { cause })
    this.doing = doing
  }

  get exitCode(): number {
    const name = this.cause instanceof Error ? this.cause.name : ''
    return name === 'TimeoutError' ? TIMED_OUT : name === 'AbortError' ? CANCELLED : 1
  }
}

/** Runs `work`; what it throws is a failure of `doing`. */
export function trying<T>(doing: string, work: () => T): T {
  try {
    return work()
  } catch (cause) {
    throw new LocalFailure(doing, cause)
  }
}

/** Node's errors of the file system in Go's order of words: `open /x: permission denied`. */
function fileMessage(cause: unknown): string {
  const message = errorMessage(cause)
  const found = /^[A-Z0-9]+: (.*), (\w+)(?: '(.*)')?$/s.exec(message)
  if (errorCode(cause) === undefined || found === null) return message
  const [, what = '', call = '', path = ''] = found
  return path === '' ? `${call}: ${what}` : `${call} ${path}: ${what}`
}
