/**
 * Tells systemd how far the peer is: `READY=1`, `STOPPING=1` (sd_notify(3)). The message is one datagram to the Unix socket that
 * `NOTIFY_SOCKET` names. Node's own sockets cannot send one, and a child process that does is not heard unless the unit says
 * `NotifyAccess=all`; so the C library's calls are used where Node can reach them (Linux, `node:ffi`), else `systemd-notify`.
 */
import { execFile } from 'node:child_process'
import { endianness } from 'node:os'
import { promisify } from 'node:util'
import { errorMessage, type Logger } from '@ipfs-cluster/base'
import type { Environment } from '../config/index.ts'
import { loadFfi } from './c-library.ts'

export type SystemdState = 'READY=1' | 'STOPPING=1'

/** Does nothing without `NOTIFY_SOCKET`. Failures are logged. */
export type Notify = (state: SystemdState) => Promise<void>

/** Constants of Linux, the same on x64 and arm64. */
const AF_UNIX = 1
const SOCK_DGRAM_CLOEXEC = 0o2000002
const MSG_NOSIGNAL = 0x4000
/** Bytes of `sun_path`. */
const PATH_MAX = 108
const COMMAND_TIMEOUT_MS = 5_000

export function createNotify(env: Environment, logger: Logger): Notify {
  const socket = env['NOTIFY_SOCKET'] ?? ''
  if (socket === '') return () => Promise.resolve()
  return async state => {
    try {
      if (!sendDatagram(socket, state)) await runSystemdNotify(socket, state)
      logger.debug({ state }, 'systemd was notified')
    } catch (error) {
      logger.warn({ state, socket, error: errorMessage(error) }, 'systemd could not be notified')
    }
  }
}

/** @returns false when this Node cannot call the C library. @throws Error when the socket refuses the message. */
function sendDatagram(socket: string, message: string): boolean {
  const ffi = loadFfi()
  if (ffi === undefined) return false
  using library = ffi.dlopen(null, {
    socket: { arguments: ['i32', 'i32', 'i32'], return: 'i32' },
    sendto: { arguments: ['i32', 'pointer', 'u64', 'i32', 'pointer', 'u32'], return: 'i64' },
    close: { arguments: ['i32'], return: 'i32' },
  })
  const { functions } = library
  const address = unixAddress(socket)
  const payload = Buffer.from(message)
  const fd = functions.socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0)
  if (fd < 0) throw new Error('no socket could be opened')
  const sent = functions.sendto(fd, payload, BigInt(payload.length), MSG_NOSIGNAL, address, address.length)
  functions.close(fd)
  if (Number(sent) !== payload.length) throw new Error(`nobody listens on ${socket}`)
  return true
}

/** `struct sockaddr_un`; a name that starts with `@` is one of the abstract namespace. */
export function unixAddress(socket: string): Buffer {
  const path = Buffer.from(socket)
  if (!/^[@/]/.test(socket) || path.length >= PATH_MAX) throw new Error(`${socket} is no address of a socket`)
  const family = Buffer.alloc(2)
  if (endianness() === 'LE') family.writeUInt16LE(AF_UNIX)
  else family.writeUInt16BE(AF_UNIX)
  if (socket.startsWith('@')) path[0] = 0
  // The name of an abstract socket ends with the address, a path with a zero.
  return Buffer.concat(socket.startsWith('@') ? [family, path] : [family, path, Buffer.alloc(1)])
}

async function runSystemdNotify(socket: string, state: string): Promise<void> {
  await promisify(execFile)('systemd-notify', [state], {
    env: { PATH: process.env['PATH'], NOTIFY_SOCKET: socket },
    timeout: COMMAND_TIMEOUT_MS,
  })
}
