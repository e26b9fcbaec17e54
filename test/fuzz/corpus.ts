/** Valid values: recorded from Go peers (the packages' fixtures), and made by our own encoders from generated ones. */
import { readFileSync } from 'node:fs'
import { fromHex, seededRandom, utf8 } from '@ipfs-cluster/base'
import * as fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'

/** A recorded JSON file of a package, such as `crdt/src/fixtures/crdt-nodes.json`. */
export function fixture(path: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../packages/${path}`, import.meta.url), 'utf8'))
}

/** All values of `key` in a recorded document, hexadecimal, as bytes. */
export function recorded(document: unknown, key: string): Uint8Array[] {
  const found: Uint8Array[] = []
  const open: unknown[] = [document]
  while (open.length > 0) {
    const next = open.pop()
    if (typeof next !== 'object' || next === null) continue
    for (const [name, value] of Object.entries(next)) {
      if (name === key && typeof value === 'string' && value !== '') found.push(fromHex(value))
      else open.push(value)
    }
  }
  return found
}

/** The same values in every run. */
export function samples<T>(arbitrary: fc.Arbitrary<T>, count: number): T[] {
  return fc.sample(arbitrary, { numRuns: count, seed: 1 })
}

const random = seededRandom(7)

/** CIDs of both versions, several codecs and hash functions. */
export const CIDS: readonly CID[] = [
  CID.createV0(createDigest(0x12, random.bytes(32)) as never),
  ...[0x55, 0x70, 0x71, 0x0129, 0x72].map(code => CID.createV1(code, createDigest(0x12, random.bytes(32)))),
  CID.createV1(0x55, createDigest(0x00, random.bytes(5))),
  CID.createV1(0x70, createDigest(0x13, random.bytes(64))),
  CID.createV1(0x70, createDigest(0xb220, random.bytes(32))),
]

export const PEER = '12D3KooWAUjbd3CHGqy7nzCUu1hrM9KaD3D8K1XwaKFudXvCLqGH'
export const RSA_PEER = 'QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ'

export const ADDRESSES: readonly string[] = [
  `/ip4/192.0.2.1/tcp/9096/p2p/${PEER}`,
  `/ip6/2001:db8::1/udp/9096/quic-v1/p2p/${PEER}`,
  '/dns4/a.example/tcp/443/tls/sni/a.example/http/http-path/a%2Fb',
  `/dnsaddr/bootstrap.example/p2p/${RSA_PEER}`,
  `/ip4/192.0.2.1/tcp/4001/p2p/${PEER}/p2p-circuit/p2p/${RSA_PEER}`,
  '/unix/tmp/a socket/x.sock',
  '/ip4/10.0.0.0/ipcidr/8',
  '/ip6zone/eth0/ip6/fe80::1/tcp/1',
  '/ip4/1.2.3.4/udp/9090/webrtc-direct/certhash/uEiAkH5a4DPGKUuOBjYw0CgwjvcJCJMD2K_1aluKR_tpevQ',
  '/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234',
  '/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzuqzwass',
  '/memory/4',
]

export const texts = (values: readonly string[]): Uint8Array[] => values.map(utf8)
