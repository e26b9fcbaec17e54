/** The entry of `ipfs-cluster-service`: the program on this process. */
import { hostname } from 'node:os'
import { gatherWrites } from './gather-writes.ts'
import type { CommandIo } from './io.ts'
import { run } from './run.ts'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

// Scripts look for the peer under this name.
process.title = 'ipfs-cluster-service'

// Whatever ends the process, but for a signal that cannot be caught.
process.on('exit', gatherWrites(process.stderr))

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

process.exitCode = await run(process.argv.slice(2), io)
// An input that was asked and is still open would keep the program alive. Files have no `unref`, and end by themselves.
if ('unref' in process.stdin) process.stdin.unref()
