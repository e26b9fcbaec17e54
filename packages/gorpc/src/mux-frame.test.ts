import { concatBytes, fromHex, toHex } from '@ipfs-cluster/base'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { FRAME, FrameError, FrameReader, FrameWriter, MAX_CHUNK_BYTES, type Frame } from './mux-frame.ts'

function read(...pieces: Uint8Array[]): Frame[] {
  const reader = new FrameReader()
  const frames: Frame[] = []
  for (const piece of pieces) reader.push(piece, frame => frames.push(frame))
  return frames
}

const frames = fc.array(
  fc.record(
    {
      type: fc.constantFrom(...Object.values(FRAME)),
      id: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.maxSafeInteger().map(Math.abs)),
      payload: fc.oneof(
        fc.uint8Array({ minLength: 1, maxLength: 40 }),
        fc.integer({ min: MAX_CHUNK_BYTES - 2, max: MAX_CHUNK_BYTES }).map(size => new Uint8Array(size)),
      ),
      more: fc.boolean(),
    },
    { noNullPrototype: true },
  ),
  { maxLength: 6 },
)

test('frames arrive as they were sent, however the bytes are cut', () => {
  fc.assert(
    fc.property(frames, fc.array(fc.nat(), { maxLength: 8 }), (sent, cuts) => {
      const writer = new FrameWriter()
      for (const { type, id, payload, more } of sent) writer.add(type, id, payload, more)
      const bytes = writer.take()
      const at = [0, ...cuts.map(cut => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b)
      const pieces = at.slice(1).map((end, index) => bytes.slice(at[index], end))
      assert.deepEqual(read(...pieces), sent)
      assert.equal(writer.length, 0)
    }),
    { numRuns: 60 },
  )
})

test('the bytes of frames', () => {
  const writer = new FrameWriter()
  writer.add(FRAME.request, 1, fromHex('a1b2'), false)
  writer.add(FRAME.reply, 300, fromHex('07'), true)
  writer.add(FRAME.cancel, 2 ** 53 - 1, new Uint8Array(0), false)
  assert.equal(
    toHex(writer.take()),
    ['04', '00', '01', 'a1b2', '04', '81', 'ac02', '07', '09', '03', 'ffffffffffffff0f'].join(''),
  )
})

test('what is no frame is refused as soon as that is known', () => {
  const refused = (hex: string, code: string) =>
    assert.throws(
      () => read(fromHex(hex)),
      error => error instanceof FrameError && error.code === code,
      hex,
    )
  refused('00', 'FRAME_MALFORMED')
  refused('0100', 'FRAME_MALFORMED')
  refused('020401', 'FRAME_MALFORMED')
  refused('027f01', 'FRAME_MALFORMED')
  refused('020080', 'FRAME_MALFORMED')
  refused('0a00ffffffffffffffff7f', 'FRAME_MALFORMED')
  refused('0900ffffffffffffff7f', 'FRAME_MALFORMED')
  refused('028001', 'FRAME_MALFORMED')
  // By their length alone: 2^21 − 1 bytes, one byte more than a chunk, and a length without an end.
  refused('ffff7f', 'FRAME_TOO_LARGE')
  refused('8a8004', 'FRAME_TOO_LARGE')
  refused('ffffff', 'FRAME_TOO_LARGE')
  refused('808080', 'FRAME_TOO_LARGE')
  // A short head would leave room for a payload that is too large.
  const large = concatBytes([fromHex('8980040001'), new Uint8Array(MAX_CHUNK_BYTES + 7)])
  assert.throws(() => read(large), FrameError)
})

test('random bytes give frames or a FrameError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), bytes => {
      try {
        read(bytes)
      } catch (error) {
        assert.ok(error instanceof FrameError, String(error))
      }
    }),
  )
})
