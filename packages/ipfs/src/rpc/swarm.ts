/** `swarm/…`, `ping`, `routing/findprovs`. */
import { errorMessage, formatDurationNs } from '@ipfs-cluster/base'
import { parsePeerAddress } from '../swarm/host.ts'
import type { Call, Command } from './command.ts'
import { messageOf, refused } from './errors.ts'
import { MAX_ADDRESSES, MAX_PINGS } from './limits.ts'
import { parsePath, resolveToCid } from './paths.ts'

/** Go's `network.Direction`. */
const DIRECTION = { inbound: 1, outbound: 2 } as const
/** Go's `routing.QueryEventType`. */
const PROVIDER_EVENT = 4
const DEFAULT_PROVIDERS = 20
const DEFAULT_PINGS = 10
const PING_PAUSE_MS = 1_000
const NS_PER_MS = 1e6

export const swarmPeers: Command = {
  options: {
    verbose: { kind: 'bool', short: 'v' },
    streams: { kind: 'bool' },
    latency: { kind: 'bool' },
    direction: { kind: 'bool' },
    identify: { kind: 'bool' },
  },
  async run({ node, options, answer, signal }) {
    const isAll = options.flag('verbose') ?? false
    const shows = (name: string) => isAll || (options.flag(name) ?? false)
    const peers: object[] = []
    const connections = node.details.swarm.connections()
    const sorted = connections.toSorted((a, b) => (a.peer < b.peer ? -1 : a.peer > b.peer ? 1 : 0))
    for (const { peer, address, direction, muxer, latencyMs, streams } of sorted) {
      const latency =
        latencyMs === undefined ? 'n/a' : formatDurationNs(BigInt(Math.round(latencyMs * NS_PER_MS)))
      peers.push({
        Addr: address,
        Peer: peer,
        ...(shows('latency') ? { Latency: latency } : {}),
        ...(isAll ? { Muxer: muxer } : {}),
        ...(shows('direction') ? { Direction: DIRECTION[direction] } : {}),
        ...(shows('streams') ? { Streams: streams.map(protocol => ({ Protocol: protocol })) } : {}),
        ...(shows('identify') ? { Identify: await identify(peer) } : {}),
      })
    }
    await answer.once({ Peers: peers.length === 0 ? null : peers })

    async function identify(peer: string): Promise<object> {
      try {
        return idOf(await node.details.swarm.describe(peer, { signal }))
      } catch (error) {
        signal.throwIfAborted()
        // It left in the meantime.
        return {
          ID: peer,
          PublicKey: '',
          Addresses: null,
          AgentVersion: '',
          Protocols: null,
          Error: errorMessage(error),
        }
      }
    }
  },
}

/** How `id` shows a peer. */
export function idOf(peer: Awaited<ReturnType<Call['node']['details']['swarm']['describe']>>): object {
  return {
    ID: peer.id,
    PublicKey: Buffer.from(peer.publicKey).toString('base64'),
    Addresses: peer.addresses.length === 0 ? null : peer.addresses,
    AgentVersion: peer.agentVersion,
    Protocols: peer.protocols,
  }
}

export const swarmAddrs: Command = {
  async run({ node, answer, signal }) {
    await answer.once({ Addrs: Object.fromEntries(await node.details.swarm.known({ signal })) })
  },
}

export const swarmAddrsLocal: Command = {
  options: { id: { kind: 'bool' } },
  async run({ node, options, answer }) {
    const addresses = node.addresses()
    const isFull = options.flag('id') ?? false
    await answer.once({ Strings: isFull ? addresses : addresses.map(withoutPeer) })
  },
}

export const swarmAddrsListen: Command = {
  run: ({ node, answer }) => answer.once({ Strings: node.addresses().map(withoutPeer) }),
}

function withoutPeer(address: string): string {
  return address.replace(/\/p2p\/[^/]+$/, '')
}

export const swarmConnect: Command = {
  args: [{ name: 'address', required: true, many: true, fromBody: true }],
  async run({ node, args, answer, signal }) {
    const peers = peersOf(args)
    const done: string[] = []
    for (const [i, address] of args.entries()) {
      const peer = peers[i] as string
      try {
        await node.swarm.connect(address, { signal })
      } catch (error) {
        signal.throwIfAborted()
        throw refused(`connect ${peer} failure: ${errorMessage(error)}`, error)
      }
      done.push(`connect ${peer} success`)
    }
    await answer.once({ Strings: done })
  },
}

export const swarmDisconnect: Command = {
  args: [{ name: 'address', required: true, many: true, fromBody: true }],
  async run({ node, args, answer, signal }) {
    const done: string[] = []
    for (const peer of peersOf(args)) {
      const was = await node.details.swarm.disconnect(peer, { signal })
      done.push(`disconnect ${peer} ${was ? 'success' : 'failure: conn not found'}`)
    }
    await answer.once({ Strings: done })
  },
}

/** All are looked at before any is acted on. */
function peersOf(addresses: readonly string[]): string[] {
  if (addresses.length > MAX_ADDRESSES) throw refused(`more than ${MAX_ADDRESSES} addresses`)
  return addresses.map(address => {
    const parts = parsePeerAddress(address).getComponents()
    return parts.findLast(({ name }) => name === 'p2p')?.value ?? ''
  })
}

export const ping: Command = {
  args: [{ name: 'peer ID', required: true, many: true, fromBody: true }],
  options: { count: { kind: 'int', short: 'n' } },
  async run({ node, args, options, answer, clock, signal }) {
    const count = options.number('count') ?? DEFAULT_PINGS
    if (count < 1 || count > MAX_PINGS) throw refused(`ping count must be from 1 to ${MAX_PINGS}`)
    const peer = (args[0] as string).replace(/^.*\/p2p\//, '')
    if (peer === node.peerId) throw refused("can't ping self")
    await answer.line({ Success: true, Time: 0, Text: `PING ${peer.slice(0, 200)}.` })
    let sum = 0
    let answered = 0
    for (let i = 0; i < count; i++) {
      if (i > 0) await clock.sleep(PING_PAUSE_MS, { signal })
      try {
        const ms = await node.details.swarm.ping(peer, { signal })
        sum += ms
        answered++
        await answer.line({ Success: true, Time: Math.round(ms * NS_PER_MS), Text: '' })
      } catch (error) {
        signal.throwIfAborted()
        await answer.line({ Success: false, Time: 0, Text: `Ping error: ${messageOf(error)}` })
      }
    }
    if (answered === 0) throw refused('ping failed')
    await answer.line({ Success: true, Time: 0, Text: `Average latency: ${(sum / answered).toFixed(2)}ms` })
  },
}

export const findProviders: Command = {
  args: [{ name: 'key', required: true, many: true, fromBody: true }],
  options: { verbose: { kind: 'bool', short: 'v' }, 'num-providers': { kind: 'int', short: 'n' } },
  async run(call) {
    const { node, args, options, answer, signal } = call
    const most = options.number('num-providers') ?? DEFAULT_PROVIDERS
    if (most < 1) throw refused('number of providers must be greater than 0')
    parsePath(args[0] as string)
    const cid = await resolveToCid(args[0] as string, call)
    answer.lines()
    const found = new Set<string>()
    for await (const { id, addresses } of node.details.swarm.findProviders(cid, { signal })) {
      if (found.has(id)) continue
      found.add(id)
      const provider = { Addrs: addresses.length === 0 ? null : addresses, ID: id }
      await answer.line({ Extra: '', ID: '', Responses: [provider], Type: PROVIDER_EVENT })
      if (found.size >= most) break
    }
  },
}
