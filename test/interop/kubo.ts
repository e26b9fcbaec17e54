/** A Kubo daemon at a place: its API on that machine's loopback, its swarm where the other halves reach it. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runProcess, startProcess } from '@ipfs-cluster/testkit'
import type { Place } from './peers.ts'

export interface Kubo extends AsyncDisposable {
  /** Multiaddr of the RPC. */
  readonly api: string
}

export async function startKubo(binary: string, place: Place): Promise<Kubo> {
  const folder = await mkdtemp(join(tmpdir(), 'kubo-'))
  const env = { IPFS_PATH: folder }
  const [command = '', ...prefix] = [...place.prefix, binary]
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const made = await runProcess(command, [...prefix, 'init', '--profile=test'], { env })
  if (made.code !== 0) throw new Error(`ipfs init: ${made.stderr}`)
  const path = join(folder, 'config')
  const config = JSON.parse(await readFile(path, 'utf8'))
  Object.assign(config.Addresses, {
    API: '/ip4/127.0.0.1/tcp/0',
    Gateway: '/ip4/127.0.0.1/tcp/0',
    Swarm: [`/ip4/${place.swarmIp}/tcp/0`],
  })
  config.Bootstrap = []
  config.Discovery.MDNS.Enabled = false
  config.AutoConf = { ...config.AutoConf, Enabled: false }
  config.Routing = { ...config.Routing, Type: 'none' }
  await writeFile(path, JSON.stringify(config))
  stack.use(await startProcess(command, [...prefix, 'daemon'], { env, ready: /Daemon is ready/ }))
  const api = (await readFile(join(folder, 'api'), 'utf8')).trim()
  const owned = stack.move()
  return { api, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
