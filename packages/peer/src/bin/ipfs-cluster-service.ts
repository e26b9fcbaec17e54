/** The entry of `ipfs-cluster-service`: hands the process to the command table. */
import { hostname } from 'node:os'
import { errorMessage } from '@ipfs-cluster/base'
import { runProgram } from '@ipfs-cluster/base/cli'
import { serviceProgram } from './commands.ts'
import { CommandError, type CommandIo } from './io.ts'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

// Scripts look for the peer under this name.
process.title = 'ipfs-cluster-service'

const io: CommandIo = {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  pid: process.pid,
  hostname: hostname(),
  onSignal(handler) {
    for (const signal of SIGNALS) process.on(signal, handler)
    return {
      [Symbol.dispose]() {
        for (const signal of SIGNALS) process.removeListener(signal, handler)
      },
    }
  },
  exit: code => process.exit(code),
}

try {
  process.exitCode = await runProgram(serviceProgram(io), process.argv.slice(2), {
    out: text => process.stdout.write(text),
    err: text => process.stderr.write(text),
    env: process.env,
  })
} catch (error) {
  const doing = error instanceof CommandError ? ` ${error.doing}` : ''
  process.stderr.write(`error${doing}: ${errorMessage(error)}\n`)
  process.exitCode = 1
}
