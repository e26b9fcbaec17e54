import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { multiaddr } from '@multiformats/multiaddr'
import { NetworkError } from './errors.ts'
import { formatPeerstore, parsePeerstore, readPeerstore, writePeerstore } from './peerstore-file.ts'

const A = '12D3KooWAUjbd3CHGqy7nzCUu1hrM9KaD3D8K1XwaKFudXvCLqGH'
const B = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N'
const peer = (id: string, ...addresses: string[]) => ({
  peer: id,
  addresses: addresses.map(text => multiaddr(text)),
})

let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'peerstore-'))
})
after(async () => {
  await rm(folder, { recursive: true })
})

describe('peerstore text', () => {
  test('holds the peers in order, their addresses sorted and once', () => {
    assert.equal(
      formatPeerstore([
        peer(B, '/ip4/192.0.2.2/tcp/2', '/ip4/192.0.2.1/tcp/1', '/ip4/192.0.2.2/tcp/2'),
        peer(A, '/ip6/2001:db8::1/tcp/3'),
      ]),
      `/ip4/192.0.2.1/tcp/1/p2p/${B}\n/ip4/192.0.2.2/tcp/2/p2p/${B}\n/ip6/2001:db8::1/tcp/3/p2p/${A}\n`,
    )
  })

  test('has only the DNS addresses of a peer with any', () => {
    assert.equal(
      formatPeerstore([
        peer(A, '/ip4/192.0.2.1/tcp/1', '/dns4/example.com/tcp/1', '/dns6/example.com/tcp/1'),
      ]),
      `/dns4/example.com/tcp/1/p2p/${A}\n/dns6/example.com/tcp/1/p2p/${A}\n`,
    )
  })

  test('is read in order, skipping comments and reporting what is no peer address', () => {
    const good = [`/ip4/192.0.2.2/tcp/2/p2p/${B}`, `/dns4/example.com/tcp/1/p2p/${A}`]
    const bad = ['/ip4/192.0.2.1/tcp/1', '/nonsense/1']
    const text = `# comment\n${good[0]}\r\n\n  indented\n${bad[0]}\n${bad[1]}\n${good[1]}`
    assert.deepEqual(parsePeerstore(text), { addresses: good, invalid: bad })
  })
})

describe('peerstore file', () => {
  test('is written in one step and read back', async () => {
    const path = join(folder, 'peerstore')
    await writePeerstore(path, [peer(A, '/ip4/192.0.2.1/tcp/1')])
    await writePeerstore(path, [peer(B, '/ip4/192.0.2.1/tcp/1')])
    assert.deepEqual((await readPeerstore(path)).addresses, [`/ip4/192.0.2.1/tcp/1/p2p/${B}`])
    assert.deepEqual(await readdir(folder), ['peerstore'])
  })

  test('is empty when missing', async () => {
    assert.deepEqual(await readPeerstore(join(folder, 'none')), { addresses: [], invalid: [] })
  })

  test('that cannot be read or written is a coded error with its path', async () => {
    await writeFile(join(folder, 'file'), '')
    const path = join(folder, 'file', 'peerstore')
    const failed = (error: unknown) =>
      error instanceof NetworkError && error.code === 'NET_PEERSTORE_FAILED' && error.message.includes(path)
    await assert.rejects(readPeerstore(path), failed)
    await assert.rejects(writePeerstore(path, []), failed)
  })
})
