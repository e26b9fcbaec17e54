/** Entry of `bin/ipfs-cluster-ctl.mjs`: the program on this process. */
import { createNodeTransport } from '@ipfs-cluster/api/node'
import { errorCode, systemClock } from '@ipfs-cluster/base'
import { writeTo } from '@ipfs-cluster/base/cli'
import { nodeFiles } from './node-files.ts'
import { run } from './run.ts'

/** What a shell reports for a program that was ended by SIGPIPE. */
const BROKEN_PIPE = 141

for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', error => {
    // The reader, such as `head`, has enough: nobody is left to tell.
    if (errorCode(error) === 'EPIPE') process.exit(BROKEN_PIPE)
    throw error
  })
}

process.exitCode = await run(process.argv.slice(2), {
  stdout: writeTo(process.stdout),
  stderr: writeTo(process.stderr),
  env: process.env,
  clock: systemClock,
  fetch: url => fetch(url),
  transport: insecureTls => createNodeTransport({ insecureTls }),
  files: nodeFiles,
})
