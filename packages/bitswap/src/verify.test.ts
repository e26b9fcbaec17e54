import { fromHex } from '@ipfs-cluster/base'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sha1 } from 'multiformats/hashes/sha1'
import { sha256, sha512 } from 'multiformats/hashes/sha2'
import { latin1 } from './cid-bytes.ts'
import { createVerifier } from './verify.ts'

const data = new TextEncoder().encode('hello')

test('SHA2-256 and SHA2-512 give the keys that multiformats gives', async () => {
  const verifier = createVerifier([])
  assert.equal(verifier.keyOf(fromHex('01551220'), data), latin1((await sha256.digest(data)).bytes))
  assert.equal(verifier.keyOf(fromHex('01711340'), data), latin1((await sha512.digest(data)).bytes))
  assert.equal(verifier.keyOf(fromHex('00701220'), data), latin1((await sha256.digest(data)).bytes))
  assert.equal(verifier.keyOfBare(data), latin1((await sha256.digest(data)).bytes))
})

test('a truncated digest counts from 20 bytes on', async () => {
  const verifier = createVerifier([])
  const { digest } = await sha256.digest(data)
  assert.equal(
    verifier.keyOf(fromHex('01551214'), data),
    latin1(Uint8Array.of(0x12, 0x14, ...digest.subarray(0, 20))),
  )
  assert.equal(verifier.keyOf(fromHex('01551213'), data), undefined)
  assert.equal(verifier.keyOf(fromHex('01551221'), data), undefined)
})

test('hash functions beyond the built-in ones are added by the caller', async () => {
  assert.equal(createVerifier([]).supports(sha1.code), false)
  const verifier = createVerifier([sha1])
  assert.equal(verifier.supports(sha1.code), true)
  assert.equal(await verifier.keyOf(fromHex('01551114'), data), latin1((await sha1.digest(data)).bytes))
})

test('malformed prefixes and identity prove nothing', () => {
  const verifier = createVerifier([])
  for (const prefix of ['', '01', '015512', '01550005', '01551e20', '0155ffffffffff20']) {
    assert.equal(verifier.keyOf(fromHex(prefix), data), undefined, prefix)
  }
})
