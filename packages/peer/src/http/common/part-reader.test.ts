import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { giveBack, lend } from '@ipfs-cluster/base'
import fc from 'fast-check'
import { filenameOf, readParts } from './part-reader.ts'

const BOUNDARY = 'b'

/** The body in pieces of these lengths, the last of them as long as it takes. */
function chunked(body: string | Uint8Array, lengths: readonly number[] = []) {
  const bytes = Buffer.from(body)
  let at = 0
  const sizes = [...lengths]
  return async () => {
    if (at >= bytes.length) return undefined
    const chunk = bytes.subarray(at, at + (sizes.shift() ?? bytes.length))
    at += chunk.length
    return Buffer.from(chunk)
  }
}

async function parse(body: string | Uint8Array, lengths?: readonly number[], boundary = BOUNDARY) {
  const parts: { headers: Record<string, string>; text: string }[] = []
  for await (const { headers, content } of readParts(chunked(body, lengths), boundary)) {
    const text = Buffer.concat(await Array.fromAsync(content)).toString('latin1')
    parts.push({ headers: Object.fromEntries(headers), text })
  }
  return parts
}

const part = (head: string, content: string) => `--b\r\n${head}\r\n\r\n${content}\r\n`

describe('the parts of a body', () => {
  it('are what was written, wherever the network cuts it', async () => {
    const piece = fc.oneof(
      fc.string({ unit: fc.constantFrom('\r', '\n', '-', 'b', 'x', ' '), maxLength: 20 }),
      fc.string({ unit: 'binary-ascii', maxLength: 300 }),
    )
    // A boundary in the content would be one.
    const content = piece.filter(text => !/\r\n--b[-\r \t]/.test(`\r\n${text}\r\n`))
    const property = fc.asyncProperty(
      fc.array(content, { maxLength: 5 }),
      fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 200 }),
      fc.constantFrom('', 'preamble\r\n', '\r\n'),
      async (contents, lengths, preamble) => {
        const body = contents.map((text, index) => part(`X-Index: ${index}`, text)).join('')
        const parts = await parse(Buffer.from(`${preamble}${body}--b--\r\nepilogue`, 'latin1'), lengths)
        assert.deepEqual(
          parts,
          contents.map((text, index) => ({ headers: { 'x-index': String(index) }, text })),
        )
      },
    )
    await fc.assert(property, { numRuns: 300 })
  })

  it('are read on though what was lent of them is given back at once', async () => {
    const chunks = ['--b\r\n\r\n', 'all of this chunk', 'and of this', '\r\n--b--'].map(text => {
      // A buffer of its own, as Node makes one for each chunk that comes.
      const chunk = Buffer.from(Uint8Array.from(Buffer.from(text)).buffer)
      lend(chunk)
      return chunk
    })
    const left = [...chunks]
    const read: string[] = []
    for await (const { content } of readParts(async () => left.shift(), BOUNDARY)) {
      for await (const piece of content) {
        read.push(piece.toString())
        giveBack(piece)
      }
    }
    assert.deepEqual(read, ['all of this chunk', 'and of this'])
    assert.deepEqual(
      chunks.map(({ length }) => length),
      [7, 0, 0, 7],
    )
  })

  it('may be empty, have no headers, fold them, repeat them, or be none', async () => {
    assert.deepEqual(await parse('--b--'), [])
    assert.deepEqual(await parse(`${part('A: 1', '')}--b--`), [{ headers: { a: '1' }, text: '' }])
    assert.deepEqual(await parse('--b\r\nA: 1\r\n\r\n--b\r\n\r\nx\r\n--b--'), [
      { headers: { a: '1' }, text: '' },
      { headers: {}, text: 'x' },
    ])
    assert.deepEqual(await parse('--b \t\r\nA: 1\r\n  2\r\nA: 3\r\n\r\nx\r\n--b--'), [
      { headers: { a: '1 2' }, text: 'x' },
    ])
  })

  it('are skipped when nobody reads them, and end where they are left', async () => {
    const seen: string[] = []
    const body = `${part('A: 1', 'x'.repeat(5000))}${part('A: 2', 'yyy')}${part('A: 3', 'z')}--b--`
    for await (const { headers, content } of readParts(chunked(body, Array(300).fill(20)), BOUNDARY)) {
      seen.push(headers.get('a') ?? '')
      if (headers.get('a') === '2') for await (const piece of content) seen.push(String(piece).slice(0, 1))
      if (headers.get('a') === '1') for await (const _ of content) break
    }
    assert.deepEqual([...new Set(seen)], ['1', '2', 'y', '3'])
  })

  it('come one at a time, many of them in little memory', async () => {
    const one = Buffer.from(part('Content-Disposition: form-data; name="file"; filename="x"', 'content'))
    let sent = 0
    const endless = async () => {
      sent++
      if (sent > 20_000) return sent === 20_001 ? Buffer.from('--b--') : undefined
      return one
    }
    let count = 0
    for await (const { content } of readParts(endless, BOUNDARY)) {
      for await (const _ of content);
      count++
      assert.ok(sent <= count + 1, 'read ahead')
    }
    assert.equal(count, 20_000)
  })

  it('are refused when they are cut short, malformed, or not as long as they say', async () => {
    const cases: [body: string, message: RegExp][] = [
      ['', /unexpected end of multipart data/],
      ['no boundary at all', /unexpected end/],
      ['--b', /unexpected end/],
      ['--b\r\n', /unexpected end/],
      ['--b\r\nA: 1', /unexpected end/],
      [part('A: 1', 'x'), /unexpected end/],
      [`${part('A: 1', 'x')}--b`, /unexpected end/],
      [`${part('A: 1', 'x')}--b-`, /unexpected end/],
      ['--b\r\nA: 1\r\n\r\nx', /unexpected end/],
      [`${part('A: 1', 'x')}--b-x`, /malformed multipart boundary/],
      [part('no colon', 'x'), /malformed header/],
      [part(': x', 'x'), /malformed header/],
      [part('A: 1\nB: 2', 'x'), /malformed header/],
      [`${part('Content-Length: 3', 'xx')}--b--`, /a part has only 2 bytes, but its Content-Length says 3/],
      [`${part('Content-Length: 3', 'xxxx')}--b--`, /a part has more bytes, but its Content-Length says 3/],
      [`${part('Content-Length: 10000000000', 'x')}--b--`, /only 1 bytes, .* says 10000000000/],
      [`${part('Content-Length: -1', 'x')}--b--`, /Content-Length that is not a number/],
      [`${part('Content-Length: 9e9', 'x')}--b--`, /Content-Length that is not a number/],
      [part(`A: ${'x'.repeat(70_000)}`, 'x'), /headers of a part are longer than 65536 bytes/],
      [`--b\r\nA: ${'x'.repeat(200_000)}`, /headers of a part are longer than 65536 bytes/],
    ]
    for (const [body, message] of cases) {
      for (const lengths of [[], Array(300).fill(7), Array(100_000).fill(1_001)]) {
        await assert.rejects(parse(body, lengths), { message }, body.slice(0, 60))
      }
    }
    const right = await parse(`${part('Content-Length: 2', 'xx')}${part('content-length: 0', '')}--b--`)
    assert.deepEqual(
      right.map(({ text }) => text),
      ['xx', ''],
    )
  })
})

it('a file name is quoted, bare or extended', () => {
  const cases: [header: string, value: string | undefined][] = [
    ['form-data; name="file"; filename="a b%2Fc"', 'a b%2Fc'],
    ['form-data; filename=abc; name=x', 'abc'],
    ['form-data; FileName = "x"', 'x'],
    [String.raw`form-data; filename="a\"b\\c\d"`, String.raw`a"b\c\d`],
    [`form-data; filename="plain"; filename*=UTF-8''%e2%82%ac`, '€'],
    [`form-data; filename="plain"; filename*=UTF-8''%e2%8`, 'plain'],
    ['form-data; name="filename"', undefined],
    ['form-data; filename="', undefined],
    ['form-data; filename=""', ''],
    ['', undefined],
  ]
  for (const [header, value] of cases) assert.equal(filenameOf(header), value, header)
})
