import { compareBytes, toHex } from '@ipfs-cluster/base'
import * as fc from 'fast-check'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { base32 } from 'multiformats/bases/base32'
import { base58btc } from 'multiformats/bases/base58'
import { CID } from 'multiformats/cid'
import { base32Bytes, base32Text, base58Text } from './base-text.ts'
import {
  cidOfBytes,
  cidText,
  comparePeerIds,
  hasPeerId,
  multiaddrBytes,
  multiaddrText,
  parseCid,
  parseMultiaddr,
  parsePeerId,
  peerIdBytes,
  peerIdText,
} from './index.ts'
import { anyCid, anyMultiaddr, anyPeerId } from './test-arbitraries.ts'

test('base58 and base32 agree with multiformats', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), bytes => {
      assert.equal(base58Text(bytes), base58btc.baseEncode(bytes))
      assert.equal(base32Text(bytes), base32.baseEncode(bytes))
      assert.deepEqual(base32Bytes(base32Text(bytes), 0), bytes)
    }),
  )
  const long = new Uint8Array(3000).fill(255)
  assert.equal(base58Text(long), base58btc.baseEncode(long))
})

test('CID text and bytes agree with multiformats', () => {
  fc.assert(
    fc.property(anyCid(), cid => {
      assert.equal(cidText(cid), cid.toString())
      const decoded = cidOfBytes(cid.bytes)
      assert.deepEqual(decoded, CID.decode(cid.bytes))
      assert.ok(parseCid(cidText(cid)).equals(cid))
    }),
  )
  assert.throws(() => parseCid('abc'), { code: 'API_BAD_CID' })
  assert.throws(() => parseCid(''), { code: 'API_BAD_CID' })
  assert.throws(() => cidOfBytes(Uint8Array.of(1)), { code: 'API_BAD_CID' })
})

test('a CID text is refused exactly when multiformats refuses it', () => {
  const good = 'bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku'
  fc.assert(
    fc.property(fc.nat(58), fc.constantFrom(...'abcz2345670189AQ=\u00e9'), (at, character) => {
      const text = good.slice(0, at) + character + good.slice(at + 1)
      let expected: CID | undefined
      try {
        expected = CID.parse(text)
      } catch {
        // Refused.
      }
      if (expected === undefined) assert.throws(() => parseCid(text), { code: 'API_BAD_CID' }, text)
      else assert.ok(parseCid(text).equals(expected), text)
    }),
    { numRuns: 2000 },
  )
})

test('peer ids round trip in every form', () => {
  fc.assert(
    fc.property(anyPeerId(), peer => {
      assert.equal(peerIdText(peerIdBytes(peer)), peer)
      const asCid = `b${base32Text(Uint8Array.of(1, 0x72, ...peerIdBytes(peer)))}`
      assert.equal(parsePeerId(asCid), peer)
    }),
  )
  for (const bad of ['', '12D3', 'Qm', 'bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku']) {
    assert.throws(() => parsePeerId(bad), { code: 'API_BAD_PEER_ID' }, bad)
  }
  assert.throws(() => peerIdText(Uint8Array.of(1, 2, 3)), { code: 'API_BAD_PEER_ID' })
})

test('peers are ordered by the bytes of the multihash', () => {
  fc.assert(
    fc.property(anyPeerId(), anyPeerId(), (a, b) => {
      assert.equal(Math.sign(comparePeerIds(a, b)), Math.sign(compareBytes(peerIdBytes(a), peerIdBytes(b))))
    }),
  )
})

test('multiaddrs round trip and aliases are resolved', () => {
  fc.assert(
    fc.property(anyMultiaddr(), address => {
      assert.equal(multiaddrText(multiaddrBytes(address)), address)
      assert.equal(hasPeerId(address), true)
    }),
  )
  const peer = '12D3KooWAUjbd3CHGqy7nzCUu1hrM9KaD3D8K1XwaKFudXvCLqGH'
  assert.equal(parseMultiaddr(`/ip4/1.2.3.4/tcp/1/ipfs/${peer}`), `/ip4/1.2.3.4/tcp/1/p2p/${peer}`)
  assert.equal(hasPeerId('/ip4/1.2.3.4/tcp/1'), false)
  for (const socket of ['/unix/tmp/a b/s', '/unix/%2Ftmp%2Fa%20b%2Fs']) {
    assert.equal(parseMultiaddr(socket), '/unix/tmp/a b/s')
    assert.equal(toHex(multiaddrBytes(socket)), '90030a2f746d702f6120622f73')
  }
  assert.equal(multiaddrText(multiaddrBytes('/unix/tmp/s')), '/unix/tmp/s')
  for (const bad of ['', '/', 'abc', '/nonsense/1', '/ip4/300.1.1.1']) {
    assert.throws(() => parseMultiaddr(bad), { code: 'API_BAD_MULTIADDR' }, bad)
  }
  assert.throws(() => multiaddrText(new Uint8Array(0)), { code: 'API_BAD_MULTIADDR' })
})
