import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { multiaddr } from '@multiformats/multiaddr'
import { announceFilter, isDnsAddress, parseAddress, peerOf, withoutPeer, withPeer } from './addresses.ts'
import { NetworkError } from './errors.ts'

const A = '12D3KooWAUjbd3CHGqy7nzCUu1hrM9KaD3D8K1XwaKFudXvCLqGH'
const B = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N'

describe('peer of an address', () => {
  test('is its last /p2p', () => {
    assert.equal(peerOf(multiaddr(`/ip4/127.0.0.1/tcp/1/p2p/${A}`)), A)
    assert.equal(peerOf(multiaddr(`/ip4/127.0.0.1/tcp/1/ipfs/${B}`)), B)
    assert.equal(peerOf(multiaddr(`/ip4/127.0.0.1/tcp/1/p2p/${A}/p2p-circuit/p2p/${B}`)), B)
  })

  test('is none of a relay without a target, or of no peer', () => {
    assert.equal(peerOf(multiaddr('/ip4/127.0.0.1/tcp/1')), undefined)
    assert.equal(peerOf(multiaddr(`/ip4/127.0.0.1/tcp/1/p2p/${A}/p2p-circuit`)), undefined)
  })

  test('is added and taken away', () => {
    const bare = multiaddr('/dns4/example.com/tcp/9096')
    assert.equal(withPeer(bare, A), `/dns4/example.com/tcp/9096/p2p/${A}`)
    assert.equal(withPeer(multiaddr(withPeer(bare, A)), A), `/dns4/example.com/tcp/9096/p2p/${A}`)
    assert.equal(withoutPeer(multiaddr(withPeer(bare, A))).toString(), bare.toString())
    const relayed = multiaddr(`/ip4/127.0.0.1/tcp/1/p2p/${A}/p2p-circuit/p2p/${B}`)
    assert.equal(withoutPeer(relayed).toString(), `/ip4/127.0.0.1/tcp/1/p2p/${A}/p2p-circuit`)
  })
})

test('DNS addresses are told by their first part', () => {
  for (const name of ['dns', 'dns4', 'dns6', 'dnsaddr'])
    assert.ok(isDnsAddress(multiaddr(`/${name}/example.com`)))
  assert.ok(!isDnsAddress(multiaddr('/ip4/127.0.0.1/tcp/1')))
})

test('what is no multiaddr is a coded error that shows it', () => {
  assert.throws(
    () => parseAddress('localhost:9096'),
    (error: unknown) =>
      error instanceof NetworkError &&
      error.code === 'NET_BAD_ADDRESS' &&
      /localhost:9096/.test(error.message),
  )
})

test('no_announce takes exact addresses and masks', () => {
  const mayAnnounce = announceFilter([
    '/ip4/192.0.2.7/tcp/9096',
    '/ip4/10.0.0.0/ipcidr/8',
    '/ip6/fd00::/ipcidr/8',
  ])
  const announced = (text: string) => mayAnnounce(multiaddr(`${text}/p2p/${A}`))
  assert.equal(announced('/ip4/192.0.2.7/tcp/9096'), false)
  assert.equal(announced('/ip4/192.0.2.7/tcp/9097'), true)
  assert.equal(announced('/ip4/10.200.0.1/tcp/1'), false)
  assert.equal(announced('/ip4/11.0.0.1/tcp/1'), true)
  assert.equal(announced('/ip6/fd12::1/tcp/1'), false)
  assert.equal(announced('/ip6/2001:db8::1/tcp/1'), true)
  assert.equal(announced('/dns4/example.com/tcp/1'), true)
})
