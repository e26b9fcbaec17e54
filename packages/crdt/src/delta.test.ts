import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { concatBytes, EMPTY_BYTES, fromHex, toHex, utf8 } from '@ipfs-cluster/base'
import * as fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { cleanKey, decodeBroadcast, decodeDelta, encodeBroadcast, encodeDelta, type Delta } from './delta.ts'
import { InvalidNodeError } from './errors.ts'
import { MAX_BROADCAST_BYTES, MAX_NODE_BYTES, MAX_NODE_ELEMENTS, MAX_PRIORITY } from './limits.ts'
import { blockIdText, createNode, decodeNode, linkOf, parseBlockId, type NodeLink } from './node.ts'

interface Vector {
  id: string
  broadcast_hex?: string
  node_cid: string
  node_hex?: string
  links: string[]
  priority: number
  elements: { key: string; id: string; pin_hex: string }[]
  tombstones?: { key: string; id: string }[]
  element_count?: number
}

function vectors(file: string): Vector[] {
  const text = readFileSync(new URL(`fixtures/${file}`, import.meta.url), 'utf8')
  return (JSON.parse(text) as { vectors: Vector[] }).vectors
}

const link = (text: string): NodeLink => linkOf(CID.parse(text)) ?? assert.fail(`not a node: ${text}`)

for (const file of ['crdt-nodes.json', 'crdt-batches.json']) {
  for (const vector of vectors(file)) {
    if (vector.node_hex === undefined) continue
    const data = fromHex(vector.node_hex)
    test(`Go's node ${file} ${vector.id} is read and rebuilt byte for byte`, () => {
      const node = decodeNode(link(vector.node_cid), data)
      assert.equal(node.delta.priority, vector.priority)
      assert.deepEqual(
        node.links.map(({ cid }) => cid.toString()),
        vector.links,
      )
      if (vector.element_count !== undefined) assert.equal(node.delta.elements.length, vector.element_count)
      assert.deepEqual(
        node.delta.elements.slice(0, vector.elements.length).map(({ key, value }) => [key, toHex(value)]),
        vector.elements.map(({ key, pin_hex }) => [key, pin_hex]),
      )
      for (const [i, { key, id }] of (vector.tombstones ?? []).entries()) {
        assert.deepEqual(node.delta.tombstones[i], { key, id, value: EMPTY_BYTES })
        const digest = parseBlockId(id) ?? assert.fail(id)
        assert.equal(blockIdText(digest), id)
      }
      // Links given in another order: sorting them is part of making a node.
      const rebuilt = createNode(node.delta, node.links.toReversed())
      assert.equal(toHex(rebuilt.data), vector.node_hex)
      assert.equal(rebuilt.cid.toString(), vector.node_cid)
      if (vector.broadcast_hex !== undefined) {
        assert.equal(toHex(encodeBroadcast([rebuilt.cid])), vector.broadcast_hex)
        assert.deepEqual(decodeBroadcast(fromHex(vector.broadcast_hex)).map(String), [vector.node_cid])
      }
    })
  }
}

test('golden chain of a pin and its unpin', () => {
  const pin =
    '0a2401551220e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855100120013208080110011a026e6d3880e2cfaa06'
  const key = '/AFKREIHDWDCEFGH4DQKJV67UZCMW7OJEE6XEDZDETOJUZJEVTENXQUVYKU'
  const keyHex = toHex(utf8(key))
  const put = createNode(
    { elements: [{ key, id: '', value: fromHex(pin) }], tombstones: [], priority: 1 },
    [],
  )
  assert.equal(toHex(put.data), `0a7d0a790a3b${keyHex}1a3a${pin}1801`)
  assert.equal(put.cid.toString(), 'bafybeihzb5vz2u5zaov3a7nd2dhtlsf4caxwbscnql4uo3pi2nphj2r46e')
  const id = '/CIQPSD3LTVJ3SA5LWB62HUGPGXELYEBPMDEE3AXZI5W6RU26OTVDZ4I'
  assert.equal(blockIdText(put.digest), id)
  const remove = createNode({ elements: [], tombstones: [{ key, id, value: EMPTY_BYTES }], priority: 2 }, [
    put,
  ])
  assert.equal(
    toHex(remove.data),
    `122a0a24${toHex(put.cid.bytes)}120018000a7b12770a3b${keyHex}1238${toHex(utf8(id))}1802`,
  )
  assert.equal(remove.cid.toString(), 'bafybeiayvof4h2l53xxtf5uw5fyoftnvjqgixc6ltn75nah2rlthlsps4m')
  assert.equal(
    toHex(encodeBroadcast([remove.cid])),
    '0a260a240170122018ab8bc3e97dddef32f696e970e2cdb54c0c8b8bcb9b7fd680fa8ae675c9f2e3',
  )
})

const element = fc.record({
  key: fc.string({ unit: 'grapheme', maxLength: 20 }).map(cleanKey),
  id: fc.string({ maxLength: 10 }),
  value: fc.uint8Array({ maxLength: 300 }),
})
const delta = fc.record({
  elements: fc.array(element, { maxLength: 5 }),
  tombstones: fc.array(element, { maxLength: 5 }),
  priority: fc.nat({ max: 2 ** 48 }),
})

test('a delta is read back as it was written', () => {
  fc.assert(
    fc.property(delta, written => {
      const read = decodeDelta(encodeDelta(written))
      assert.deepEqual(plain(read), plain(written))
    }),
  )
})

function plain({ elements, tombstones, priority }: Delta): unknown {
  const entry = ({ key, id, value }: Delta['elements'][number]) => [key, id, toHex(value)]
  return [elements.map(entry), tombstones.map(entry), priority]
}

test('whatever arrives is read or refused, nothing else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
      for (const decode of [decodeDelta, decodeBroadcast]) {
        try {
          decode(bytes)
        } catch (error) {
          assert.ok(error instanceof InvalidNodeError, String(error))
        }
      }
    }),
    { numRuns: 2000 },
  )
})

test('fields of newer versions are passed over in deltas and heads', () => {
  const dagName = fromHex('2203616263')
  const bytes = concatBytes([encodeDelta({ elements: [], tombstones: [], priority: 7 }), dagName])
  assert.deepEqual(decodeDelta(bytes), { elements: [], tombstones: [], priority: 7 })
  const { cid } = createNode({ elements: [], tombstones: [], priority: 1 }, [])
  const head = concatBytes([fromHex('0a24'), cid.bytes, fromHex('1203616263')])
  assert.deepEqual(decodeBroadcast(concatBytes([Uint8Array.of(0x0a, head.length), head])).map(String), [
    cid.toString(),
  ])
})

test('announcements of old peers: a bare CIDv0 counts, a bare CIDv1, an empty head or an extra field refuse the message', () => {
  const v0 = CID.parse('QmaQUK1qA3DvbmGaGJGWXbSd2KNxeegH1M1psG6Y37WVJB')
  assert.deepEqual(decodeBroadcast(v0.bytes).map(String), [v0.toString()])
  const good = encodeBroadcast([v0.toV1()])
  for (const bytes of [
    v0.toV1().bytes,
    fromHex('0a00'),
    concatBytes([good, fromHex('0a00')]),
    concatBytes([good, fromHex('1203616263')]),
    concatBytes([good, fromHex('1001')]),
    good.subarray(0, 20),
    new Uint8Array(MAX_BROADCAST_BYTES + 1),
  ]) {
    assert.throws(() => decodeBroadcast(bytes), InvalidNodeError, toHex(bytes.subarray(0, 50)))
  }
  assert.deepEqual(decodeBroadcast(EMPTY_BYTES), [])
})

test('nodes beyond a limit are refused', () => {
  const one = utf8('\u0012\u0000')
  const many = concatBytes(Array.from({ length: MAX_NODE_ELEMENTS }, () => one))
  assert.equal(decodeDelta(many).tombstones.length, MAX_NODE_ELEMENTS)
  assert.throws(() => decodeDelta(concatBytes([many, one])), InvalidNodeError)
  const { cid } = createNode({ elements: [], tombstones: [], priority: 1 }, [])
  const name = linkOf(cid) ?? assert.fail()
  assert.throws(() => decodeNode(name, new Uint8Array(MAX_NODE_BYTES + 1)), InvalidNodeError)
  assert.throws(() => decodeNode(name, utf8('not a node')), InvalidNodeError)
  assert.throws(() => decodeNode(name, EMPTY_BYTES), InvalidNodeError)
})

test('a height above the limit counts as the limit', () => {
  for (const priority of [MAX_PRIORITY, MAX_PRIORITY + 1, 2 ** 63]) {
    const delta = decodeDelta(encodeDelta({ elements: [], tombstones: [], priority }))
    assert.equal(delta.priority, MAX_PRIORITY)
  }
})

test('keys take the form of Go datastore keys', () => {
  for (const [key, clean] of [
    ['/a', '/a'],
    ['a', '/a'],
    ['', '/'],
    ['//a//b/', '/a/b'],
    ['/a/./b/../c', '/a/c'],
    ['/../a', '/a'],
    ['/.a', '/.a'],
  ] as const) {
    assert.equal(cleanKey(key), clean)
  }
})

test('ids that no node can have are not taken for one', () => {
  const digest = new Uint8Array(32).fill(7)
  const id = blockIdText(digest)
  assert.deepEqual(parseBlockId(id), digest)
  assert.deepEqual(parseBlockId(id.slice(1)), digest)
  for (const other of ['', '/', '/abc', id.toLowerCase(), `${id}A`, `/A${id.slice(2)}`]) {
    assert.equal(parseBlockId(other), undefined, other)
  }
})
