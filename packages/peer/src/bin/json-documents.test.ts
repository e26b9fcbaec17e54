import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { jsonDocuments, type JsonStreamError } from './json-documents.ts'

/** The text in pieces of `size` bytes. */
async function* pieces(text: string, size = 7) {
  const bytes = Buffer.from(text)
  for (let i = 0; i < bytes.length; i += size) yield bytes.subarray(i, i + size)
}

const read = (text: string, size?: number, maxBytes?: number) =>
  Array.fromAsync(jsonDocuments(pieces(text, size), maxBytes))

test('any objects come back as they were, however they are spaced and cut', async () => {
  const objects = fc.array(fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue()), { maxLength: 5 })
  const space = fc.string({ unit: fc.constantFrom(' ', '\n', '\t', '\r\n'), maxLength: 3 })
  await fc.assert(
    fc.asyncProperty(
      objects,
      space,
      fc.nat(3),
      fc.integer({ min: 1, max: 40 }),
      async (all, gap, indent, size) => {
        const texts = all.map(each => JSON.stringify(each, null, indent))
        const found = await read(gap + texts.join(gap) + gap, size)
        assert.deepEqual(
          found.map(({ text }) => text),
          texts.map(text => Buffer.from(text).toString()),
        )
      },
    ),
    { numRuns: 300 },
  )
})

test('each object knows the line on which it begins', async () => {
  const found = await read('{"a":1}{\n"b":\n"x\\"}"}\n\n  {"c":[{}]}\n')
  assert.deepEqual(
    found.map(({ line }) => line),
    [1, 1, 5],
  )
})

const BAD: readonly (readonly [string, number, RegExp])[] = [
  ['{}\n{}\nx', 3, /^line 3: an object expected, found "x"$/],
  ['\n[{}]', 2, /^line 2: an object expected, found "\[".*without a list/],
  ['{},\n{}', 1, /found ","/],
  ['null', 1, /found "n"/],
  ['\ufeff{}', 1, /found "\ufeff"/],
  ['{}\n{"a":\n"b"', 2, /^line 2: the object that begins here does not end$/],
  ['{}\n{"a":"}\n}', 2, /does not end$/],
]

for (const [text, line, message] of BAD) {
  test(`refused: ${JSON.stringify(text)}`, async () => {
    await assert.rejects(read(text), (error: JsonStreamError) => {
      assert.equal(error.code, 'JSON_STREAM')
      assert.equal(error.data.line, line)
      assert.match(error.message, message)
      return true
    })
  })
}

test('an object without an end does not fill the memory', async () => {
  await assert.rejects(read(`{}\n{"a":"${'x'.repeat(200)}`, 10, 100), {
    message: 'line 2: the object that begins here does not end within 100 bytes',
  })
  assert.equal((await read(`{"a":"${'x'.repeat(50)}"}`.repeat(20), 10, 100)).length, 20)
})
