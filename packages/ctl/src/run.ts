import { ApiError } from '@ipfs-cluster/api'
import { asError } from '@ipfs-cluster/base'
import { execute } from '@ipfs-cluster/base/cli'
import { createApp } from './commands.ts'
import { LocalFailure } from './failure.ts'
import type { Io } from './io.ts'
import { printApiError } from './session.ts'

/**
 * The whole program.
 *
 * @param words the command line without the program's name.
 * @returns the exit code: 0 done; 1 wrong arguments, or no answer; 2 the API answered with an error; 3 no such command; 62 waiting
 * took too long; 125 cancelled.
 */
export async function run(words: readonly string[], io: Io): Promise<number> {
  const encoding = { used: 'text' }
  try {
    const app = createApp(io)
    return await execute(
      {
        ...app,
        prepare(parsed) {
          encoding.used = parsed.values.encoding
          return app.prepare(parsed)
        },
      },
      words,
      io,
      io.env,
    )
  } catch (error) {
    return await report(error, encoding.used, io)
  }
}

async function report(error: unknown, encoding: string, io: Io): Promise<number> {
  if (error instanceof ApiError && (error.code === 'API_ERROR' || error.code === 'API_UNREACHABLE')) {
    return await printApiError(error, encoding, io)
  }
  const failure = error instanceof LocalFailure ? error : new LocalFailure('', asError(error))
  await io.stderr(`error ${failure.doing}: ${failure.message}\n`)
  return failure.exitCode
}
