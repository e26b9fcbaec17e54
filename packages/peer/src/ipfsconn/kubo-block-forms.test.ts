import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { NodeWithMeta } from '@ipfs-cluster/api'
import { concatBytes, withPieces } from '@ipfs-cluster/base'
import { readCar } from '@ipfs-cluster/ipfs/car'
import { directoryBlock, rawBlock } from '@ipfs-cluster/testkit'
import { blockPrefix, type BlockPrefix } from './block-prefix.ts'
import { importForm, putForm, type BlockForm } from './kubo-block-forms.ts'

const BOUNDARY = 'boundary'
const REFUSED = { code: 'IPFS_REQUEST_FAILED' }

const body = (form: BlockForm, blocks: readonly NodeWithMeta[]) =>
  concatBytes([form.opening, ...blocks.flatMap(block => form.block(block)), form.closing])

/** What is between the empty line behind the headers of a form's only part and its end. */
function contentOf(body: Uint8Array): Uint8Array {
  const text = Buffer.from(body).toString('latin1')
  const end = text.indexOf(`\r\n--${BOUNDARY}--\r\n`)
  assert.ok(end > 0 && text.startsWith(`--${BOUNDARY}\r\nContent-Disposition: form-data; `))
  return body.subarray(text.indexOf('\r\n\r\n') + 4, end)
}

describe('the form of dag/import', () => {
  it('is a CAR of the blocks, whole and in pieces, small and large', async () => {
    const large = rawBlock(new Uint8Array(300_000).fill(7))
    const { cid, cumulativeSize, data } = rawBlock(new Uint8Array(70_000).fill(8))
    const pieces = [data.subarray(0, 5), data.subarray(5)]
    const blocks = [
      rawBlock('small'),
      directoryBlock([], 0),
      large,
      withPieces({ cid, cumulativeSize }, pieces),
    ]
    const sent = contentOf(body(importForm(BOUNDARY), blocks))
    const source = async function* () {
      yield sent
    }
    const car = await readCar(source())
    const read = await Array.fromAsync(car.blocks)
    assert.deepEqual(
      read.map(block => [`${block.cid}`, Buffer.from(block.data).toString('hex')]),
      [rawBlock('small'), directoryBlock([], 0), large, { cid, data }].map(block => [
        `${block.cid}`,
        Buffer.from(block.data).toString('hex'),
      ]),
    )
  })

  it('is confirmed by the number of its blocks alone', () => {
    for (const [answers, isEnough] of [
      [[{ Stats: { BlockCount: 2, BlockBytesCount: 6 } }], true],
      [[{ Stats: { BlockCount: 1, BlockBytesCount: 3 } }], false],
      [[{ Stats: { BlockCount: '2' } }], false],
      [[{ Root: {} }], false],
      [['2'], false],
      [[], false],
    ] as const) {
      const form = importForm(BOUNDARY)
      body(form, [rawBlock('one'), rawBlock('two')])
      for (const answer of answers) form.answered(answer)
      if (isEnough) form.ended()
      else assert.throws(() => form.ended(), REFUSED, JSON.stringify(answers))
    }
  })
})

describe('the form of block/put', () => {
  const [one, two] = [rawBlock('one'), rawBlock('two')]
  const sent = () => {
    const form = putForm(blockPrefix(one.cid) as BlockPrefix, BOUNDARY)
    body(form, [one, two, one])
    return form
  }

  it('is confirmed by each of its blocks, as often as it was sent', () => {
    const form = sent()
    for (const { cid } of [one, one, two]) {
      assert.throws(() => form.ended(), REFUSED)
      form.answered({ Key: `${cid}`, Size: 3 })
    }
    form.ended()
    assert.throws(() => form.answered({ Key: `${one.cid}` }), REFUSED)
  })

  it('refuses answers about anything else', () => {
    for (const answer of [{ Key: `${rawBlock('three').cid}` }, { Key: 'x' }, { Key: 5 }, {}, null, 'x'])
      assert.throws(() => sent().answered(answer), REFUSED, JSON.stringify(answer))
  })
})
