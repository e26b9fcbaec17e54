import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withHost } from './local-discovery.ts'

const SERVICE = '_ipfs-cluster-discovery._udp.local'
const ID = '12D3KooWAUjbd3CHGqy7nzCUu1hrM9KaD3D8K1XwaKFudXvCLqGH'
const pointer = { name: SERVICE, type: 'PTR', class: 'IN', ttl: 120, data: `abc.${SERVICE}` }
const text = (address: string) => ({
  name: `abc.${SERVICE}`,
  type: 'TXT',
  class: 'IN',
  ttl: 120,
  data: `dnsaddr=${address}/p2p/${ID}`,
})

test('an mDNS answer names the host, without which Go peers pass it over', () => {
  const answers = [
    pointer,
    text('/ip4/10.0.0.1/tcp/1'),
    text('/ip6/fd00::1/tcp/1'),
    text('/ip4/10.0.0.1/tcp/2/ws'),
  ]
  const common = { class: 'IN', ttl: 120 }
  assert.deepEqual(withHost(answers), [
    ...answers,
    { ...common, name: `abc.${SERVICE}`, type: 'SRV', data: { port: 4001, target: 'abc.local' } },
    { ...common, name: 'abc.local', type: 'A', data: '10.0.0.1' },
    { ...common, name: 'abc.local', type: 'AAAA', data: 'fd00::1' },
  ])
})

test('an answer without addresses stays as it is', () => {
  assert.deepEqual(withHost([pointer]), [pointer])
  assert.deepEqual(withHost([]), [])
})
