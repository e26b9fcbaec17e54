/** Runs the program in this process, against the make-believe peer. */
import type { RouteHandlers } from '@ipfs-cluster/api'
import { createNodeTransport } from '@ipfs-cluster/api/node'
import { serveRoutes } from '@ipfs-cluster/api/test-server'
import { systemClock, type Clock } from '@ipfs-cluster/base'
import type { Io } from './io.ts'
import { nodeFiles } from './node-files.ts'
import { run } from './run.ts'
import { handlers } from './test-peer.ts'

/** Nobody waits in a test: sleeps end at once, deadlines soon. */
export const hurried: Clock = {
  ...systemClock,
  sleep: async (_, { signal } = {}) => signal?.throwIfAborted(),
  timeout: () => systemClock.timeout(20),
}

export interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export async function ctl(
  words: readonly string[],
  { env = {}, ...changes }: Partial<Io> = {},
): Promise<Outcome> {
  let [stdout, stderr] = ['', '']
  const code = await run(words, {
    stdout: async text => void (stdout += text),
    stderr: async text => void (stderr += text),
    async *stdin() {},
    env,
    clock: hurried,
    signal: new AbortController().signal,
    fetch: (url, { signal }) => fetch(url, { signal: signal ?? null }),
    resolve: async () => ['127.0.0.1'],
    transport: insecureTls => createNodeTransport({ insecureTls }),
    files: nodeFiles,
    ...changes,
  })
  return { code, stdout, stderr }
}

export const hostOf = (url: string) => `/ip4/127.0.0.1/tcp/${new URL(url).port}`

/** Runs one command against a peer with these handlers in place of the usual ones. */
export async function against(changes: Partial<RouteHandlers>, line: string): Promise<Outcome> {
  await using server = await serveRoutes({ ...handlers, ...changes })
  return await ctl(['--host', hostOf(server.url), ...line.split(' ')])
}
