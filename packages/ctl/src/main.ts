/** Entry of `bin/ipfs-cluster-ctl.mjs`: the program on this process. */
import { lookup } from 'node:dns/promises'
import { createNodeTransport } from '@ipfs-cluster/api/node'
import { errorCode, systemClock } from '@ipfs-cluster/base'
import { writeTo } from '@ipfs-cluster/base/cli'
import { CANCELLED } from './failure.ts'
import { createLibp2pDialers } from './libp2p.ts'
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

/** Ctrl-C asks to end in order; whoever insists gets it. */
const PATIENCE = 3

const cancelled = new AbortController()
let interrupts = 0
process.on('SIGINT', () => {
  if (++interrupts >= PATIENCE) process.exit(CANCELLED)
  cancelled.abort(new DOMException('cancelled', 'AbortError'))
})

// Closed in the end: its connections would keep the process alive.
await using libp2p = createLibp2pDialers()
process.exitCode = await run(process.argv.slice(2), {
  stdout: writeTo(process.stdout),
  stderr: writeTo(process.stderr),
  ...(!process.stdout.isTTY && { stdoutBytes: writeTo(process.stdout) }),
  stdin: () => process.stdin,
  env: process.env,
  clock: systemClock,
  signal: cancelled.signal,
  ...(process.stderr.isTTY && {
    terminal: { write: writeTo(process.stderr), columns: () => process.stderr.columns },
  }),
  fetch: (url, { signal }) => fetch(url, { signal: signal ?? null }),
  resolve: async (name, family) =>
    (await lookup(name, { all: true, family: family ?? 0 })).map(({ address }) => address),
  transport: (insecureTls, secret) =>
    createNodeTransport({ insecureTls, connect: libp2p.connectWith(secret) }),
  files: nodeFiles,
})
