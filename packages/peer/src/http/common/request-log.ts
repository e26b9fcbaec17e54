import type { IncomingMessage } from 'node:http'
import { errorMessage, memoize, type Logger } from '@ipfs-cluster/base'
import { open } from 'node:fs/promises'
import { HttpError } from './errors.ts'

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** Lines that wait for a slow disk, in characters; more are dropped, and that is logged. */
const WAITING_CHARS_MAX = 4 * 1024 * 1024
/** As in Go. */
const LOG_FILE_MODE = 0o644

/** Where the lines of requests go. */
export interface RequestLog extends AsyncDisposable {
  write(line: string): void
}

export interface AnsweredRequest {
  readonly request: IncomingMessage
  readonly status: number
  /** Bytes of the body. */
  readonly size: number
  /** The client's address, read when the request came: a request that is given up has no socket any more. */
  readonly host: string
  /** When it came, in milliseconds since the Unix epoch. */
  readonly atMs: number
}

/** Requests that end together came within a few seconds. */
const SECONDS_REMEMBERED = 16

const secondText = memoize(SECONDS_REMEMBERED, (seconds: number) => {
  const at = new Date(seconds * 1000)
  const two = (value: number) => String(value).padStart(2, '0')
  return (
    `${two(at.getUTCDate())}/${MONTHS[at.getUTCMonth()]}/${at.getUTCFullYear()}` +
    `:${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())} +0000`
  )
})

/** One line in Apache's Common Log Format: `host - user [02/Jan/2006:15:04:05 +0000] "M URI HTTP/1.1" status size`. */
export function formatRequestLog({ request, status, size, host, atMs }: AnsweredRequest): string {
  const url = redactUrl(request.url ?? '-')
  const line = `${request.method ?? '-'} ${url} HTTP/${request.httpVersion}`
  return `${host} - - [${secondText(Math.floor(atMs / 1000))}] "${quoted(line)}" ${status} ${size}`
}

const SECRET_PARAMETERS =
  /([?&](?:access_?token|auth|authorization|jwt|key|pass|password|secret|token)=)[^&#]*/gi
const USER_INFO = /^([a-z][a-z\d+.-]*:\/\/)[^/?#]*@/i
/** The header of a JWT is a JSON object, which in base64 starts like this. */
const JWT = /\beyJ[\w-]*(?:\.|%2e)[\w-]*(?:(?:\.|%2e)[\w-]*)?/gi

/** What every text has that one of the above finds something in; most targets have nothing of it. */
const MAY_HOLD_SECRETS = /[=@]|eyJ/i

/** The target of a request as it may be logged: logins and tokens that a client put there by mistake are struck out. */
export function redactUrl(url: string): string {
  if (!MAY_HOLD_SECRETS.test(url)) return url
  return url.replace(USER_INFO, '$1XXX@').replaceAll(SECRET_PARAMETERS, '$1XXX').replaceAll(JWT, 'XXX')
}

/** Printable ASCII but for what `quoted` escapes. */
const PLAIN = /^[ !#-[\]-~]*$/

/** Nothing of a request line can end the quotes or the line. */
function quoted(text: string): string {
  if (PLAIN.test(text)) return text
  const hex = (char: string) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`
  return text.replaceAll(/["\\]/g, String.raw`\$&`).replaceAll(/[^\x20-\x7e]/g, hex)
}

/** Requests as lines of the peer's own log. */
export function logRequestsTo(logger: Logger): RequestLog {
  return { write: line => logger.info(line), [Symbol.asyncDispose]: () => Promise.resolve() }
}

/**
 * Appends requests to a file, which is created when it is not there (`http_log_file`).
 *
 * @param key of the configuration, for the error.
 * @throws HttpError `HTTP_LOG_FILE`
 */
export async function openRequestLog(path: string, key: string, logger: Logger): Promise<RequestLog> {
  const fail = (cause: unknown) =>
    new HttpError(
      `cannot append to ${path}: ${errorMessage(cause)}; check ${key}`,
      { code: 'HTTP_LOG_FILE', path },
      { cause },
    )
  const file = await open(path, 'a', LOG_FILE_MODE).catch((error: unknown) => {
    throw fail(error)
  })
  let waiting = ''
  let dropped = 0
  let writing: Promise<void> | undefined
  const drain = async () => {
    while (waiting !== '') {
      const lines = waiting
      waiting = ''
      try {
        await file.appendFile(lines)
      } catch (error) {
        logger.warn({ path, err: errorMessage(error) }, 'cannot write the log of requests; lines are lost')
      }
      if (dropped > 0) logger.warn({ path, dropped }, 'the log of requests is too slow; lines are lost')
      dropped = 0
    }
    writing = undefined
  }
  let closed: Promise<void> | undefined
  return {
    write(line) {
      if (closed !== undefined) return
      if (waiting.length > WAITING_CHARS_MAX) dropped++
      else waiting += `${line}\n`
      writing ??= drain()
    },
    async [Symbol.asyncDispose]() {
      closed ??= (async () => {
        await writing
        await file.close()
      })()
      await closed
    },
  }
}
