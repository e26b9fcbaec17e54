/** Hosts around a peer for `run-ctl.ts`: the same peer over a Unix socket and TLS, and servers that do not behave. */
import { once } from 'node:events'
import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runProcess } from '@ipfs-cluster/testkit'

/** Hands every connection on to a port of loopback. */
export async function startSocket(path: string, port: number): Promise<AsyncDisposable> {
  return await listen(
    createServer(socket => forward(socket, port)),
    path,
  )
}

export interface PortServer extends AsyncDisposable {
  readonly port: number
}

/** With a certificate that nobody trusts. */
export async function startTls(folder: string, port: number): Promise<PortServer> {
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1']
  const out = ['-keyout', key, '-out', cert]
  const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1']
  const made = await runProcess('openssl', [...request, ...subject, ...out])
  if (made.code !== 0) throw new Error(made.stderr)
  const options = { key: await readFile(key), cert: await readFile(cert) }
  return await listen(createTlsServer(options, socket => forward(socket, port)))
}

/** Web pages, for `add`. */
export const startWeb = () =>
  startHttp((request, response) => {
    if (request.url === '/missing') response.writeHead(404)
    response.end(`<p>${request.url}</p>`)
  })

/** Never answers. */
export const startSilent = () => listen(createServer(socket => void socket.on('error', () => undefined)))

/** Answers everything with an error in plain words, as a proxy would. */
export const startWords = () =>
  startHttp((request, response) => {
    request.resume()
    response.writeHead(502, { 'Content-Type': 'text/html' }).end('<h1>bad gateway</h1>')
  })

/** Refuses everybody, as a peer with credentials does. */
export const startDenies = () =>
  startHttp((request, response) => {
    request.resume()
    response
      .writeHead(401, { 'Content-Type': 'application/json', 'WWW-Authenticate': 'Basic realm="x"' })
      .end('{"code":401,"message":"Unauthorized"}\n')
  })

/** Starts a stream of one pin, then fails in a trailer; anything else is not JSON. */
export const startBreaks = () =>
  startHttp((request, response) => {
    if (!/^\/(allocations|pins)/.test(request.url ?? '')) {
      response.end('{"id": 5')
      return
    }
    response.writeHead(200, { Trailer: 'X-Stream-Error', 'Content-Type': 'application/json' })
    response.addTrailers({ 'X-Stream-Error': 'the stream broke' })
    response.end('{"cid":"QmbrCtydGyPeHiLURSPMqrvE5mCgMCwFYq3UD4XLCeAYw6","name":"last"}\n')
  })

async function startHttp(listener: RequestListener): Promise<PortServer> {
  return await listen(createHttpServer(listener))
}

function forward(socket: Socket, port: number): void {
  const peer = connect(port, '127.0.0.1')
  // One side that breaks ends the other; what broke is seen by ctl.
  socket.on('error', () => peer.destroy()).on('close', () => peer.destroy())
  peer.on('error', () => socket.destroy()).on('close', () => socket.destroy())
  socket.pipe(peer).pipe(socket)
}

async function listen(server: Server, path?: string): Promise<PortServer> {
  const sockets = new Set<Socket>()
  server.on('connection', socket => void sockets.add(socket.once('close', () => sockets.delete(socket))))
  if (path === undefined) server.listen(0, '127.0.0.1')
  else server.listen(path)
  await once(server, 'listening')
  const address = server.address() as AddressInfo | string
  return {
    port: typeof address === 'string' ? 0 : address.port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
