import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runProcess, startProcess, type TestProcess } from './process.ts'

/** A Kubo daemon of its own: temporary repository, loopback, ports chosen by the system, no bootstrap peers. */
export interface RealKubo extends AsyncDisposable {
  /** Multiaddr of the RPC: `/ip4/127.0.0.1/tcp/<port>`. */
  readonly api: string
  readonly pid: number
  /** Runs `ipfs <args>` against this daemon; standard output. */
  ipfs(args: readonly string[], input?: string | Uint8Array): Promise<string>
}

/** The Kubo binary that real-daemon tests use, or `undefined`, also for an empty name: skip them then. */
export const kuboBinary: string | undefined = process.env['KUBO_BIN'] || undefined

/** @throws when the binary does not start. */
export async function startRealKubo(binary: string): Promise<RealKubo> {
  const folder = await mkdtemp(join(tmpdir(), 'kubo-'))
  const env = { IPFS_PATH: folder }
  const ipfs = async (args: readonly string[], input?: string | Uint8Array) => {
    const result = await runProcess(binary, args, { env, ...(input === undefined ? {} : { input }) })
    if (result.code !== 0) throw new Error(`ipfs ${args.join(' ')} failed: ${result.stderr}`)
    return result.stdout
  }
  let daemon: TestProcess | undefined
  const stop = async () => {
    await daemon?.[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await ipfs(['init', '--profile=test'])
    await editConfig(join(folder, 'config'))
    daemon = await startProcess(binary, ['daemon'], { env, ready: /Daemon is ready/ })
    const api = (await readFile(join(folder, 'api'), 'utf8')).trim()
    return { api, pid: daemon.pid, ipfs, [Symbol.asyncDispose]: stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function editConfig(path: string): Promise<void> {
  const config = JSON.parse(await readFile(path, 'utf8'))
  config.Bootstrap = []
  config.Addresses.API = '/ip4/127.0.0.1/tcp/0'
  config.Addresses.Gateway = '/ip4/127.0.0.1/tcp/0'
  config.Addresses.Swarm = ['/ip4/127.0.0.1/tcp/0']
  config.Discovery.MDNS.Enabled = false
  config.AutoConf = { ...config.AutoConf, Enabled: false }
  config.Routing = { ...config.Routing, Type: 'none' }
  await writeFile(path, JSON.stringify(config, null, 2))
}
