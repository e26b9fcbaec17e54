/** A server on loopback that gives out configurations, good and bad, to peers whose `service.json` has a `source`. */
import { createServer } from 'node:http'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runProcess } from '@ipfs-cluster/testkit'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { goBinary } from './peers.ts'

/** More than a configuration may have. */
const LARGE_BYTES = 8 * 1024 * 1024

export async function serveConfigurations(): Promise<AsyncDisposable & { readonly url: string }> {
  const good = await goodConfiguration()
  let url = ''
  const pages: Readonly<Record<string, () => readonly [number, string, Record<string, string>?]>> = {
    '/good': () => [200, good],
    '/moved': () => [302, '', { location: '/good' }],
    '/around': () => [302, '', { location: '/around' }],
    '/garbage': () => [200, '<html>no JSON</html>'],
    '/empty': () => [200, ''],
    '/unfit': () => [200, good.replace('"monitor_ping_interval": "15s"', '"monitor_ping_interval": "soon"')],
    '/sourced': () => [200, JSON.stringify({ source: `${url}/good` })],
    '/loop': () => [200, JSON.stringify({ source: `${url}/loop` })],
    '/large': () => [200, `{"cluster": {"peername": "${'x'.repeat(LARGE_BYTES)}"}}`],
    '/broken': () => [500, 'out of order'],
  }
  const server = createServer((request, response) => {
    const [status, body, headers] = pages[request.url ?? '']?.() ?? [404, 'there is nothing here']
    response.writeHead(status, headers).end(body)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  url = `http://127.0.0.1:${address.port}`
  return {
    url,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

/** As Go's `init` writes it. */
async function goodConfiguration(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'source-'))
  try {
    await runProcess(goBinary ?? '', ['-c', folder, 'init', '--randomports'])
    return await readFile(join(folder, 'service.json'), 'utf8')
  } finally {
    await rm(folder, { recursive: true })
  }
}
