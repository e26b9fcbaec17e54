import assert from 'node:assert/strict'
import { test } from 'node:test'
import { peerIdText } from '@ipfs-cluster/api'
import { toHex } from '@ipfs-cluster/base'
import { blake2b } from '@noble/hashes/blake2.js'
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { identity } from 'multiformats/hashes/identity'
import { closestChecker } from './closest.ts'

const peerArbitrary = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map(key => peerIdText(Uint8Array.of(0, 36, 8, 1, 18, 32, ...key)))
const cidArbitrary = fc
  .uint8Array({ minLength: 1, maxLength: 40 })
  .map(bytes => CID.createV1(raw.code, identity.digest(bytes)))

test('of any set of peers exactly one acts for a CID', () => {
  fc.assert(
    fc.property(fc.uniqueArray(peerArbitrary, { minLength: 1, maxLength: 7 }), cidArbitrary, (peers, cid) => {
      assert.equal(peers.filter(peer => closestChecker(peer, peers)(cid)).length, 1)
    }),
    { numRuns: 50 },
  )
})

test('blake2b-256 is that of the specification', () => {
  assert.equal(
    toHex(blake2b(new Uint8Array(0), { dkLen: 32 })),
    '0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8',
  )
})
