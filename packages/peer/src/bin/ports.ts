import { createServer } from 'node:net'

/** Ports that are free now on all interfaces; held open together, so that no two are the same. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  const ports = await Promise.all(
    servers.map(async server => {
      await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, resolve))
      const address = server.address()
      if (address === null || typeof address === 'string') throw new Error('the system gave no port')
      return address.port
    }),
  )
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}
