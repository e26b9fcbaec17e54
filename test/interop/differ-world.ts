/** Two clusters alike but for their implementation: as many peers, each with a Kubo of its own behind a gate that can be shut. */
import { randomBytes } from 'node:crypto'
import { createServer, connect, type Socket } from 'node:net'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { kuboBinary, waitFor } from '@ipfs-cluster/testkit'
import type { Names } from './differ-compare.ts'
import { startKubo } from './kubo.ts'
import { seesAll } from './mixed.ts'
import { LOOPBACK, preparePeer, type InteropPeer, type Json, type Kind } from './peers.ts'
import { stablePorts } from './ports.ts'

/** A door to a daemon: `open` lets through, `shut` refuses connections, `silent` takes them and never answers. */
export interface Gate extends AsyncDisposable {
  /** Multiaddr. */
  readonly address: string
  set(state: 'open' | 'shut' | 'silent'): Promise<void>
}

export interface Side extends AsyncDisposable {
  readonly kind: Kind
  /** The first has the smaller id, so that maps by id have the same order on both sides. */
  readonly peers: readonly InteropPeer[]
  readonly gates: readonly Gate[]
  /** Of the peer that is asked. */
  readonly port: number
  names(): Names
  fill(text: string): string
}

export interface SideOptions {
  readonly peers: number
  readonly edit?: (config: Json) => void
}

export async function startSide(kind: Kind, options: SideOptions): Promise<Side> {
  const folder = await mkdtemp(join(tmpdir(), `differ-${kind}-`))
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const ports = await stablePorts(2 * options.peers)
  const secret = randomBytes(32).toString('hex')
  const gates: Gate[] = []
  const prepared: InteropPeer[] = []
  for (let i = 0; i < options.peers; i++) {
    const kubo = stack.use(await startKubo(kuboBinary as string, LOOPBACK))
    const gate = stack.use(await createGate(kubo.api))
    gates.push(gate)
    prepared.push(
      stack.use(
        await preparePeer({
          kind,
          name: `peer${i}`,
          folder: join(folder, `peer${i}`),
          place: LOOPBACK,
          swarmPort: ports[2 * i] as number,
          restPort: ports[2 * i + 1] as number,
          secret,
          kuboApi: gate.address,
          ...(options.edit === undefined ? {} : { edit: options.edit }),
        }),
      ),
    )
  }
  // Go orders peers by the text of their ids.
  const order = prepared.map((_, i) => i).sort((a, b) => (idOf(prepared, a) < idOf(prepared, b) ? -1 : 1))
  const peers = order.map(i => prepared[i] as InteropPeer)
  const [first, ...others] = peers
  if (first === undefined) throw new Error('a side needs a peer')
  await first.start()
  for (const peer of others) await peer.start(['--bootstrap', first.swarm])
  const ipfs = await Promise.all(peers.map(peer => ipfsId(peer)))
  await Promise.all(peers.map(peer => seesAll(peer, peers, 60_000)))
  const owned = stack.move()
  const fill = (text: string) =>
    text
      .replaceAll('{self}', first.id)
      .replaceAll('{other}', peers[1]?.id ?? first.id)
      .replaceAll('{ipfs}', ipfs[0] ?? '')
  return {
    kind,
    peers,
    gates: order.map(i => gates[i] as Gate),
    port: Number(new URL(first.rest).port),
    names: () => [
      ...peers.map((peer, i) => [peer.id, `<peer ${i}>`] as const),
      ...peers.map((peer, i) => [`"${peer.name}"`, `"<name ${i}>"`] as const),
      ...ipfs.map((id, i) => [id, `<ipfs ${i}>`] as const),
    ],
    fill,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function idOf(peers: readonly InteropPeer[], index: number): string {
  return peers[index]?.id ?? ''
}

async function ipfsId(peer: InteropPeer): Promise<string> {
  let id = ''
  await waitFor(async () => (id = (await peer.json('/id')).ipfs.id ?? '') !== '', {
    what: `IPFS of ${peer.name}`,
  })
  return id
}

async function createGate(api: string): Promise<Gate> {
  const target = Number(/\/tcp\/(\d+)/.exec(api)?.[1])
  const [port = 0] = await stablePorts(1)
  let state: 'open' | 'shut' | 'silent' = 'open'
  const sockets = new Set<Socket>()
  const keep = (socket: Socket) => {
    sockets.add(socket)
    // A cut connection is what a shut gate is for.
    socket.on('error', () => undefined)
    socket.once('close', () => sockets.delete(socket))
  }
  const server = createServer(socket => {
    keep(socket)
    if (state === 'silent') return
    const inner = connect(target, '127.0.0.1')
    keep(inner)
    socket.pipe(inner).pipe(socket)
    inner.once('close', () => socket.destroy())
    socket.once('close', () => inner.destroy())
  })
  const listen = async () => {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  }
  const shut = async () => {
    for (const socket of sockets) socket.destroy()
    if (!server.listening) return
    server.close()
    await once(server, 'close')
  }
  await listen()
  return {
    address: `/ip4/127.0.0.1/tcp/${port}`,
    async set(next) {
      state = next
      await shut()
      if (next !== 'shut') await listen()
    },
    [Symbol.asyncDispose]: shut,
  }
}
