import assert from 'node:assert/strict'
import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { test } from 'node:test'
import { createManualClock } from '@ipfs-cluster/testkit'
import { UPLOAD_STALL_MS, uploadParts } from './multipart.ts'

function requestWith(...pieces: readonly string[]): IncomingMessage {
  const request = new IncomingMessage(new Socket())
  request.headers['content-type'] = 'multipart/form-data; boundary=b'
  for (const piece of pieces) request.push(piece)
  request.complete = true
  request.push(null)
  return request
}

const HEAD =
  '--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\nContent-Type: application/octet-stream\r\n\r\n'

async function readAll(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const { content } of uploadParts(request, new AbortController().signal)) {
    for await (const chunk of content) text += Buffer.from(chunk).toString()
  }
  return text
}

test('the content of a part is what was sent', async () => {
  assert.equal(await readAll(requestWith(HEAD, 'abc', 'def\r\n--b--\r\n')), 'abcdef')
})

test('a part that the upload ends in the middle of is a bad upload, for whoever reads it, too', async () => {
  const long = 'x'.repeat(300_000)
  for (const pieces of [
    [HEAD, 'abc'],
    [`${HEAD}abc`],
    [HEAD, 'abc\r\n--b'],
    [HEAD + long],
    [HEAD, long, long],
  ]) {
    await assert.rejects(readAll(requestWith(...pieces)), {
      code: 'HTTP_BAD_UPLOAD',
      message: /unexpected end/i,
    })
  }
})

test('what a request must say to be an upload, in the words of Go', () => {
  const notMultipart = "request Content-Type isn't multipart/form-data"
  const cases = [
    [undefined, notMultipart],
    ['application/json', notMultipart],
    ['text/multipart/form-data; boundary=b', notMultipart],
    ['multipart/form-data', 'no multipart boundary param in Content-Type'],
    ['multipart/form-data; charset=utf-8', 'no multipart boundary param in Content-Type'],
    ['multipart/form-data; boundary=', notMultipart],
    ['multipart/form-data; boundary=""', notMultipart],
    ['multipart/form-data; boundary', notMultipart],
  ] as const
  for (const [type, message] of cases) {
    const request = requestWith()
    if (type === undefined) delete request.headers['content-type']
    else request.headers['content-type'] = type
    assert.throws(
      () => uploadParts(request, new AbortController().signal),
      { code: 'HTTP_BAD_UPLOAD', message },
      type,
    )
  }
})

test('a field is a file without a name; multipart/mixed will do', async () => {
  for (const type of ['multipart/mixed; boundary=b', 'Multipart/Form-Data; Boundary="b"']) {
    const request = requestWith('--b\r\nContent-Disposition: form-data; name="x"\r\n\r\nabc\r\n--b--\r\n')
    request.headers['content-type'] = type
    const seen: string[][] = []
    for await (const { path, kind, content } of uploadParts(request, new AbortController().signal)) {
      seen.push([path, kind, Buffer.concat(await Array.fromAsync(content)).toString()])
    }
    assert.deepEqual(seen, [['', 'file', 'abc']])
  }
})

test('a client that sends nothing for ten minutes has gone; one that is slow, or waits for us, has not', async () => {
  const clock = createManualClock()
  const request = new IncomingMessage(new Socket())
  request.headers['content-type'] = 'multipart/form-data; boundary=b'
  const parts = uploadParts(request, new AbortController().signal, clock)[Symbol.asyncIterator]()
  request.push(`${HEAD}abc`)
  const { value } = await parts.next()
  const content = value?.content[Symbol.asyncIterator]()
  assert.equal(String((await content?.next())?.value), 'abc')
  // Nobody asks for more.
  await clock.advance(UPLOAD_STALL_MS * 2)
  for (let more = 0; more < 3; more++) {
    const next = content?.next()
    await clock.advance(UPLOAD_STALL_MS - 1)
    request.push('d')
    assert.equal(String((await next)?.value), 'd')
  }
  const refused = assert.rejects(async () => await content?.next(), {
    code: 'HTTP_BAD_UPLOAD',
    message: 'error reading request: nothing came for 10 minutes',
  })
  await clock.advance(UPLOAD_STALL_MS)
  await refused
})

test('whoever leaves in the middle leaves the request as it is, for an answer', async () => {
  const open = () => {
    const request = new IncomingMessage(new Socket())
    request.headers['content-type'] = 'multipart/form-data; boundary=b'
    request.push(HEAD)
    return request
  }
  const request = open()
  for await (const _ of uploadParts(request, new AbortController().signal)) break
  assert.equal(request.destroyed, false)
  assert.equal(request.listenerCount('data'), 0)
  const gone = new AbortController()
  const parts = uploadParts(open(), gone.signal)[Symbol.asyncIterator]()
  await parts.next()
  const next = parts.next()
  gone.abort(new Error('the client left'))
  await assert.rejects(next, { message: /the client left/ })
})
