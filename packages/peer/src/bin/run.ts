import { errorMessage } from '@ipfs-cluster/base'
import { execute, writeTo } from '@ipfs-cluster/base/cli'
import { createApp } from './commands.ts'
import { CommandError, type CommandIo } from './io.ts'

/**
 * The whole of `ipfs-cluster-service`.
 *
 * @param words the command line without the program's name.
 * @returns the exit code: 0 done, or wrong arguments; 1 it failed, or no such command; 3 no such help topic.
 */
export async function run(words: readonly string[], io: CommandIo): Promise<number> {
  const output = { stdout: writeTo(io.stdout), stderr: writeTo(io.stderr) }
  try {
    return await execute(createApp(io), words, output, io.env)
  } catch (error) {
    const doing = error instanceof CommandError ? ` ${error.doing}` : ''
    await output.stderr(`error${doing}: ${errorMessage(error)}\n`)
    return 1
  }
}
