/** The peers' processes. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { PeerFolder } from './folders.ts'

const SERVICE = fileURLToPath(new URL('../../packages/peer/bin/ipfs-cluster-service.mjs', import.meta.url))
/** A peer that has not stopped by then is killed. */
const STOP_MS = 10_000

export interface Daemons extends AsyncDisposable {
  /** Rejects as soon as one of them ends by itself, with its last words. */
  readonly failed: Promise<never>
}

export function startDaemons(peers: readonly PeerFolder[]): Daemons {
  const failure = Promise.withResolvers<never>()
  // Nobody may be waiting for it when the peers are stopped.
  failure.promise.catch(() => undefined)
  let stopping = false
  const children = peers.map(peer => {
    const child = spawn(process.execPath, [SERVICE, '--config', peer.folder, 'daemon'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const log = createWriteStream(join(peer.folder, 'daemon.log'), { flags: 'a' })
    let tail = ''
    child.stderr.on('data', (chunk: Buffer) => {
      log.write(chunk)
      tail = (tail + chunk.toString()).slice(-2000)
    })
    child.once('exit', (code, signal) => {
      log.end()
      if (stopping) return
      const words = tail.trim().split('\n').slice(-3).join('\n')
      failure.reject(
        new Error(
          `${peer.name} ended (${signal ?? `exit code ${code}`}): ${words}\nIts log: ${join(peer.folder, 'daemon.log')}`,
        ),
      )
    })
    return child
  })
  return {
    failed: failure.promise,
    async [Symbol.asyncDispose]() {
      stopping = true
      await Promise.all(children.map(stop))
    },
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
  await ended
  clearTimeout(timer)
}
