import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { HASHERS, matches } from './blocks/hash.ts'
import { HASH_FUNCTIONS, hashFunctionNamed } from './hashes.ts'

/** Of `a` and a line end, as raw blocks: what `ipfs add --hash` says. */
const KUBO = {
  sha1: 'bafkrcfb7pbufby4hkuh5vobw5v7g3seb3yrqagy',
  'sha3-224': 'bafkrohhlkic6lcgqbzhjmohsuzddfqdfntvbwszpy6hgmys24iga',
  'shake-256':
    'bafkrsqhi7icj3cfhaefsx5xow23sg7ovbhrgiwss3lj3czjovnlpijqquoapvcoe3i7oebnb4hk2e4kcql4w5gsodevvbydwqmf3dxbuxza3a',
  'keccak-256': 'bafkrwifsqhzbyokdvbkzdrtfokhmldaryboiiznchvsty3qasff4zsws6u',
  blake3: 'bafkr4iebys37pycut4krj2ok5f6pidhrgojaiggt3ry35w7wb3e32ykizm',
  'dbl-sha2-256': 'bafkvmibcl4n3xrfrupmxyyrkjewzd2unnbmnpyiwjo53lfj7oqyr23jcfy',
  'blake2b-160': 'bafkzjzacctcaziwpahiidj355ahh5gnn4t3p5wllka',
  'blake2b-248': 'bafkz7zacd4537zjvc5tgrj7wjkl5o42uzokpuge6kc7or23l4p3zbfrssm4q',
  'blake2b-264': 'bafk2dzaceed6vxynx6b3aibagkp4kfuh22lqmddm26ugp7alrahxcwjt6rk5weq',
  'blake2b-512':
    'bafk4bzacic7n7o4q3bmmfvt3p3upour34pj3kqae56pe6axsvv42duc37x7etoa6hsjox6m3kbaqfnv7aa72gqsyp5ntcjgcax2vebhiys2m47l4',
  'blake2s-256': 'bafk6bzaceapgd7nqafii5pj4kwkukasopjmkm6xlcjbqrislxuj7p3ij3hzmo',
}
const CONTENT = Buffer.from('a\n')
const RAW = 0x55

for (const [name, cid] of Object.entries(KUBO)) {
  test(`${name} is Kubo's`, () => {
    const { code, digest } = hashFunctionNamed(name) ?? assert.fail('unknown')
    assert.equal(CID.createV1(RAW, createDigest(code, digest(CONTENT))).toString(), cid)
  })
}

test('whatever can be made can be verified, here and on its way from the swarm', async () => {
  const verifiers = new Map(HASHERS.map(hasher => [hasher.code, hasher]))
  for (const { code, digest } of HASH_FUNCTIONS) {
    const made = createDigest(code, digest(CONTENT))
    assert.ok(matches(CID.createV1(RAW, made), CONTENT))
    assert.ok(!matches(CID.createV1(RAW, made), Buffer.from('b\n')))
    assert.deepEqual((await verifiers.get(code)?.digest(CONTENT))?.bytes, made.bytes)
    const pieces = [CONTENT.subarray(0, 3), CONTENT.subarray(3, 3), CONTENT.subarray(3)]
    assert.deepEqual(Buffer.from(digest(...pieces)), Buffer.from(made.digest))
    assert.deepEqual(Buffer.from(digest()), Buffer.from(digest(new Uint8Array(0))))
  }
})

test('what Kubo does not have is not known', () => {
  const strange = [
    'md5',
    'identity',
    'keccak-224',
    'shake-128',
    'blake2b-152',
    'blake2b-161',
    'blake2s-160',
    'toString',
  ]
  for (const name of strange) assert.equal(hashFunctionNamed(name), undefined)
})
