import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatPing, parsePing } from './peer-view.ts'

test('a ping says who and where, without addresses that mean nothing elsewhere', () => {
  const value = formatPing({
    peerName: 'a',
    ipfs: '12D3KooWI',
    ipfsAddresses: [
      '/ip4/127.0.0.1/tcp/4001/p2p/x',
      '/ip4/10.0.0.7/tcp/4001/p2p/x',
      '/ip4/169.254.1.1/tcp/4001',
      '/ip6/::1/tcp/4001',
      '/ip6/2001:db8::1/tcp/4001',
      '/dns4/example.org/tcp/4001',
    ],
  })
  assert.equal(
    value,
    '{"peer_name":"a","ipfs_id":"12D3KooWI","ipfs_addresses":["/ip4/10.0.0.7/tcp/4001/p2p/x","/ip6/2001:db8::1/tcp/4001","/dns4/example.org/tcp/4001"]}',
  )
  assert.deepEqual(parsePing(value).ipfsAddresses.length, 3)
  assert.equal(formatPing({ peerName: '', ipfs: '', ipfsAddresses: [] }), '{}')
})

test('what a ping says wrongly is taken as not said', () => {
  const nobody = { peerName: '', ipfs: '', ipfsAddresses: [] }
  for (const value of ['', '{', 'null', '7', '{"peer_name":7,"ipfs_addresses":"x"}', '[]']) {
    assert.deepEqual(parsePing(value), nobody, value)
  }
})
