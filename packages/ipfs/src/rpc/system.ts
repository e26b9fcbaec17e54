/** `id`, `version`, `config/show`, `key/list`, `resolve`, and what is no more. */
import { arch, platform } from 'node:os'
import { base36 } from 'multiformats/bases/base36'
import { base58btc } from 'multiformats/bases/base58'
import { CID } from 'multiformats/cid'
import { decode as decodeDigest } from 'multiformats/hashes/digest'
import { VERSION } from '../version.ts'
import type { Command } from './command.ts'
import { refused } from './errors.ts'
import { resolve } from './paths.ts'
import { REPO_VERSION } from './repo.ts'
import { idOf } from './swarm.ts'

const LIBP2P_KEY = 0x72

export const id: Command = {
  args: [{ name: 'peerid' }],
  options: { format: { kind: 'string', short: 'f' }, 'peerid-base': { kind: 'string' } },
  async run({ node, args, answer, signal }) {
    await answer.once(idOf(await node.details.swarm.describe(args[0], { signal })))
  },
}

export const version: Command = {
  options: {
    number: { kind: 'bool', short: 'n' },
    commit: { kind: 'bool' },
    repo: { kind: 'bool' },
    all: { kind: 'bool' },
  },
  run: ({ answer }) =>
    // `Golang` is where Kubo says what it runs on; clients take it for text.
    answer.once({
      Version: VERSION,
      Commit: '',
      Repo: REPO_VERSION,
      System: `${goArch()}/${platform()}`,
      Golang: '',
    }),
}

function goArch(): string {
  const names: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' }
  return names[arch()] ?? arch()
}

/** What of Kubo's configuration has a meaning here. */
export const configShow: Command = {
  async run({ node, answer }) {
    const { storageMax } = await node.repo.stat()
    await answer.once({
      Addresses: { Swarm: node.addresses().map(address => address.replace(/\/p2p\/[^/]+$/, '')) },
      Datastore: { StorageMax: `${storageMax}B` },
      Identity: { PeerID: node.peerId },
    })
  },
}

export const keyList: Command = {
  options: { l: { kind: 'bool' }, 'ipns-base': { kind: 'string' } },
  async run({ node, answer }) {
    const key = CID.createV1(LIBP2P_KEY, decodeDigest(base58btc.baseDecode(node.peerId)))
    await answer.once({ Keys: [{ Name: 'self', Id: key.toString(base36) }] })
  },
}

export const resolvePath: Command = {
  args: [{ name: 'name', required: true, fromBody: true }],
  options: {
    recursive: { kind: 'bool', short: 'r' },
    'dht-record-count': { kind: 'int', short: 'dhtrc' },
    'dht-timeout': { kind: 'string', short: 'dhtt' },
  },
  async run(call) {
    const { cid, remainder } = await resolve(call.args[0] as string, call)
    const path = [`/ipfs/${call.cidText(cid)}`, ...remainder].join('/')
    await call.answer.once({ Path: path })
  },
}

export const nameResolve: Command = {
  args: [{ name: 'name' }],
  run: () =>
    Promise.reject(
      refused('the built-in IPFS node knows no IPNS names; ask a Kubo node, and use the /ipfs path'),
    ),
}

export function removed(instead: string): Command {
  return {
    args: [{ name: 'key', many: true }],
    run: () => Promise.reject(refused(`removed, use ${instead} instead`)),
  }
}
