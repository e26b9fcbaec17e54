/** Opening and closing a listening server. */
import { rm, stat } from 'node:fs/promises'
import type { Server } from 'node:http'
import type { Server as TlsServer } from 'node:https'
import { connect, type Socket } from 'node:net'
import type { Multiaddr } from '@ipfs-cluster/api'
import { errorCode, errorMessage, type Clock } from '@ipfs-cluster/base'
import { multiaddr } from '@multiformats/multiaddr'
import { HttpError } from './errors.ts'

/**
 * @param key the key of the configuration that names the address.
 * @returns the URL with the port that the system gave, and how to stop: requests under way may end for `graceMs`, then all is cut.
 * @throws HttpError `HTTP_LISTEN_FAILED`
 */
export async function listen(
  server: Server | TlsServer,
  address: Multiaddr,
  {
    key,
    scheme,
    clock,
    graceMs,
  }: {
    readonly key: string
    readonly scheme: 'http' | 'https'
    readonly clock: Clock
    readonly graceMs: number
  },
): Promise<{ readonly url: string; close(): Promise<void> }> {
  const target = listenTarget(address, key)
  if ('path' in target) await removeAbandoned(target.path)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(target, resolve)
  try {
    await promise
  } catch (cause) {
    const why = `${reasonOf(cause, target)} ${key}`
    throw new HttpError(
      `cannot listen on ${address}: ${why}`,
      { code: 'HTTP_LISTEN_FAILED', address },
      { cause },
    )
  }
  server.removeListener('error', reject)
  // Also those in the middle of a TLS handshake, of which node:http does not know.
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  return {
    url: urlOf(server, scheme),
    close: () => close(server, sockets, { clock, graceMs }),
  }
}

function reasonOf(cause: unknown, target: ReturnType<typeof listenTarget>): string {
  if (errorCode(cause) !== 'EADDRINUSE') return `${errorMessage(cause)}; check`
  return 'path' in target
    ? 'the file exists; stop the program that has it, remove the file if it is no socket, or change'
    : 'the port is in use; stop the program that has it, or change'
}

/** A program that was killed leaves its socket's file behind, which would keep it from starting again. */
async function removeAbandoned(path: string): Promise<void> {
  const info = await stat(path).catch(() => undefined)
  if (info?.isSocket() !== true) return
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const socket = connect(path, () => resolve(false))
  socket.once('error', error => resolve(errorCode(error) === 'ECONNREFUSED'))
  const isAbandoned = await promise
  socket.destroy()
  if (isAbandoned) await rm(path, { force: true })
}

function urlOf(server: Server | TlsServer, scheme: string): string {
  const bound = server.address()
  if (typeof bound === 'string' || bound === null) return `unix://${String(bound)}`
  const host = bound.family === 'IPv6' ? `[${bound.address}]` : bound.address
  return `${scheme}://${host}:${bound.port}`
}

function listenTarget(address: Multiaddr, key: string): { host: string; port: number } | { path: string } {
  // All that follows is the path, as Go writes it.
  if (address.startsWith('/unix/')) return { path: address.slice('/unix'.length) }
  const parts = multiaddr(address).getComponents()
  const value = (...names: string[]) => parts.find(part => names.includes(part.name))?.value
  const host = value('ip4', 'ip6', 'dns', 'dns4', 'dns6')
  const port = value('tcp')
  if (host === undefined || port === undefined) {
    throw new HttpError(
      `cannot listen on ${address}: ${key} takes addresses such as /ip4/127.0.0.1/tcp/9094`,
      { code: 'HTTP_LISTEN_FAILED', address },
    )
  }
  return { host, port: Number(port) }
}

async function close(
  server: Server | TlsServer,
  sockets: ReadonlySet<Socket>,
  { clock, graceMs }: { readonly clock: Clock; readonly graceMs: number },
): Promise<void> {
  const bound = server.address()
  const { promise, resolve } = Promise.withResolvers<void>()
  server.close(() => resolve())
  server.closeIdleConnections()
  const grace = new AbortController()
  const cut = clock.sleep(graceMs, { signal: grace.signal }).then(
    () => {
      server.closeAllConnections()
      for (const socket of sockets) socket.destroy()
    },
    () => undefined,
  )
  await promise
  grace.abort()
  await cut
  if (typeof bound === 'string') await rm(bound, { force: true })
}
