import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { AnswerParser, BadHttp, type AnswerReader } from './kubo-answer-parser.ts'

interface Answer {
  status: number
  body: string
  trailer: string | undefined
}

function collect(count: number) {
  const answers: Answer[] = []
  const ended: Answer[] = []
  const readers = Array.from({ length: count }, (_, i): AnswerReader => {
    const answer: Answer = { status: 0, body: '', trailer: undefined }
    answers[i] = answer
    return {
      head: status => void (answer.status = status),
      body: text => void (answer.body += text),
      end(trailer) {
        answer.trailer = trailer
        ended.push(answer)
      },
    }
  })
  let done = 0
  const parser = new AnswerParser(readers, () => done++)
  return { parser, ended, done: () => done }
}

const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Stream-Error\r\n\r\n'

test('understands every form of answer, wherever the packets are cut', () => {
  const bytes = Buffer.from(
    'HTTP/1.1 100 Continue\r\n\r\n' +
      'HTTP/1.1 500 Internal Server Error\r\ncontent-length: 9\r\n\r\nnöt here' +
      `${chunked}4;x=y\r\n{"a"\r\n5\r\n:1}\né\r\n0\r\nX-Stream-Error: gone: é\r\nX-Other: 1\r\n\r\n`.replace(
        '5\r\n:1}\né',
        '6\r\n:1}\né',
      ) +
      `${chunked}0\r\n\r\n` +
      'HTTP/1.1 204 No Content\r\n\r\n',
  )
  const expected = [
    { status: 500, body: 'nöt here', trailer: undefined },
    { status: 200, body: '{"a":1}\né', trailer: 'gone: é' },
    { status: 200, body: '', trailer: undefined },
    { status: 204, body: '', trailer: undefined },
  ]
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 }), sizes => {
      const { parser, ended, done } = collect(4)
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const size = sizes[i % sizes.length] ?? 1
        parser.add(bytes.subarray(at, at + size))
        at += size
      }
      assert.deepEqual(ended, expected)
      assert.deepEqual([done(), parser.isDone, parser.keepsConnection], [1, true, true])
    }),
  )
})

test('an answer without a length ends with its connection, which is not used again', () => {
  const { parser, ended } = collect(1)
  parser.add(Buffer.from('HTTP/1.1 200 OK\r\n\r\nsome'))
  parser.add(Buffer.from(' text'))
  assert.equal(parser.isDone, false)
  parser.end()
  assert.deepEqual([ended[0]?.body, parser.keepsConnection], ['some text', false])
})

test('a connection that the daemon closes is not kept', () => {
  const { parser } = collect(1)
  parser.add(Buffer.from('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'))
  assert.deepEqual([parser.isDone, parser.keepsConnection], [true, false])
})

test('an answer that ends early is not done', () => {
  const { parser, done } = collect(1)
  parser.add(Buffer.from(`${chunked}4\r\n{"a"\r\n`))
  parser.end()
  assert.deepEqual([parser.isDone, done()], [false, 0])
})

for (const [what, bytes] of [
  ['another protocol', 'SSH-2.0-OpenSSH\r\n\r\n'],
  ['a size that is none', `${chunked}zz\r\n`],
  ['a chunk longer than its size', `${chunked}1\r\n{"a"\r\n`],
  ['bytes after the answer', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nmore'],
  ['a head without end', `HTTP/1.1 200 OK\r\n${'X-Field: value\r\n'.repeat(6_000)}`],
] as const) {
  test(`refuses ${what}`, () => {
    const { parser } = collect(1)
    assert.throws(() => parser.add(Buffer.from(bytes)), BadHttp)
  })
}
