import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { silentLogger, systemClock, systemRandom } from '@ipfs-cluster/base'
import { CID } from 'multiformats/cid'
import { sha256 } from './blocks/hash.ts'
import { defaultIpfsNodeConfig } from './config.ts'
import type { RpcNode } from './details.ts'
import { createIpfsNode, type IpfsNodeComponents } from './node.ts'
import type { AddEntry, Block, IpfsNode, IpfsNodeConfig } from './types.ts'

/** Nodes on loopback for tests of this package. */
export async function tempFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ipfs-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

export async function startNode(
  t: TestContext,
  config: Partial<IpfsNodeConfig> = {},
  components: Partial<IpfsNodeComponents> = {},
): Promise<RpcNode> {
  const path = config.path ?? (await tempFolder(t))
  const node = await createIpfsNode(
    {
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      diskFree: async () => 2 ** 50,
      ...components,
    },
    { ...defaultIpfsNodeConfig, listen: ['/ip4/127.0.0.1/tcp/0'], ...config, path },
  )
  t.after(() => node[Symbol.asyncDispose]())
  return node
}

export async function connect(from: IpfsNode, to: IpfsNode): Promise<void> {
  await from.swarm.connect(to.addresses()[0] ?? 'no address')
}

export function file(path: string, content: string | Uint8Array): AddEntry {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content
  return {
    path,
    content: (async function* () {
      yield bytes
    })(),
  }
}

/** Adds; the root's CID. */
export async function add(node: IpfsNode, ...entries: AddEntry[]): Promise<CID> {
  const added = await Array.fromAsync(node.unixfs.add(entries))
  const root = added.at(-1)
  if (root === undefined) throw new Error('nothing was added')
  return root.cid
}

export async function read(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(bytes))
}

export function block(data: Uint8Array | string, codec = 0x55): Block {
  const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data
  return { cid: CID.createV1(codec, sha256(bytes)), data: bytes }
}

/** Repeatable bytes of which no 256 KiB are like others. */
export function bytes(length: number, seed = 1): Buffer {
  const out = Buffer.alloc(length)
  let state = seed
  for (let i = 0; i + 4 <= length; i += 4) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    out.writeInt32LE(state ^ (state >> 13), i)
  }
  return out
}
