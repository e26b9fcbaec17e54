import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { directoryBlock, rawBlock, testBlock } from '@ipfs-cluster/testkit'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'
import { blockPrefix } from './block-prefix.ts'
import { parseIpfsPath } from './ipfs-path.ts'
import { parseNodeAddress } from './node-address.ts'

describe('parseIpfsPath', () => {
  const { cid } = rawBlock('a')

  it('knows plain CIDs, with and without namespace', () => {
    for (const path of [`${cid}`, `/ipfs/${cid}`, `/ipfs/${cid}/`, `/ipld/${cid}`, `ipfs/../${cid}`]) {
      assert.equal(parseIpfsPath(path).cid?.toString(), `${cid}`, path)
    }
  })

  it('cleans paths and leaves names to the daemon', () => {
    assert.deepEqual(parseIpfsPath(`/ipfs/${cid}/a//b/./c/../d`), {
      text: `/ipfs/${cid}/a/b/d`,
      cid: undefined,
    })
    assert.deepEqual(parseIpfsPath('/ipns/example.org/x'), { text: '/ipns/example.org/x', cid: undefined })
    assert.deepEqual(parseIpfsPath(`${cid}/a`), { text: `/ipfs/${cid}/a`, cid: undefined })
  })

  it('refuses what is none', () => {
    // Of a megabyte, base58 would take minutes.
    const long = `/ipfs/Qm${'a'.repeat(1_000_000)}`
    for (const path of ['', '/', '/ipfs', '/ipfs/', '/ipns', '/ipfs/xyz', 'xyz/a', '/other/x', long]) {
      assert.throws(() => parseIpfsPath(path), { code: 'IPFS_BAD_PATH' }, path)
    }
  })
})

describe('parseNodeAddress', () => {
  it('reads TCP and unix addresses', () => {
    assert.deepEqual(parseNodeAddress('/ip4/127.0.0.1/tcp/5001'), { host: '127.0.0.1', port: 5001 })
    assert.deepEqual(parseNodeAddress('/ip6/::1/tcp/5001'), { host: '::1', port: 5001 })
    assert.deepEqual(parseNodeAddress('/dns4/ipfs0/tcp/5001'), { host: 'ipfs0', port: 5001, family: 4 })
    assert.deepEqual(parseNodeAddress('/unix/run/ipfs.sock'), { socketPath: '/run/ipfs.sock' })
    assert.deepEqual(parseNodeAddress('/unix/%2Frun%2Fipfs.sock'), { socketPath: '/run/ipfs.sock' })
  })

  it('refuses anything else', () => {
    for (const address of [
      '',
      '/ip4/127.0.0.1',
      '/ip4/127.0.0.1/udp/5001',
      'http://127.0.0.1:5001',
      '/unix',
    ]) {
      assert.throws(() => parseNodeAddress(address), RangeError, address)
    }
  })
})

describe('blockPrefix', () => {
  it('speaks of CIDv0 as dag-pb', () => {
    const expected = { codec: 'dag-pb', hash: 'sha2-256', length: 32 }
    assert.deepEqual(blockPrefix(directoryBlock([], 0).cid), expected)
    assert.deepEqual(blockPrefix(directoryBlock([], 1).cid), expected)
  })

  it('names codecs or gives their number, and names hashes', () => {
    assert.equal(blockPrefix(rawBlock('a').cid)?.codec, 'raw')
    assert.equal(blockPrefix(testBlock(Uint8Array.of(0xa0), 0x71).cid)?.codec, 'dag-cbor')
    assert.equal(blockPrefix(testBlock(Uint8Array.of(0), 0x78).cid)?.codec, '120')
    const blake = CID.createV1(0x55, create(0xb220, new Uint8Array(32)))
    assert.deepEqual(blockPrefix(blake), { codec: 'raw', hash: 'blake2b-256', length: 32 })
    assert.equal(blockPrefix(CID.createV1(0x55, create(0x9999, new Uint8Array(32)))), undefined)
  })
})
