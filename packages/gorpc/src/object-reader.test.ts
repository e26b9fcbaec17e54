import assert from 'node:assert/strict'
import { test } from 'node:test'
import { concatBytes } from '@ipfs-cluster/base'
import type { Stream } from '@libp2p/interface'
import fc from 'fast-check'
import { Uint8ArrayList } from 'uint8arraylist'
import { bytesView, encodeObject } from './codec.ts'
import { ObjectReader } from './object-reader.ts'

/** A stream that brings what it is told to. */
class BringingStream extends EventTarget {
  readonly status = 'open'
  readonly remoteWriteStatus = 'writable'
  readStatus = 'readable'
  readonly readBufferLength = 0
  maxReadBufferLength = 0

  pause(): void {
    this.readStatus = 'paused'
  }

  resume(): void {
    this.readStatus = 'readable'
  }

  bring(data: Uint8Array | Uint8ArrayList): void {
    this.dispatchEvent(Object.assign(new Event('message'), { data }))
  }
}

/** `bytes`, in pieces that end at these places. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const ends = [...new Set(places.map(place => place % (bytes.length + 1))), bytes.length].sort(
    (a, b) => a - b,
  )
  return ends.map((end, i) => bytes.slice(ends[i - 1] ?? 0, end))
}

test('objects are the same however they arrive, and stay what they were', () => {
  const blob = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.nat(5000).map(length => new Uint8Array(length).fill(length)),
  )
  const arrival = fc.record({
    places: fc.array(fc.nat(), { maxLength: 12 }),
    together: fc.array(fc.nat(4), { minLength: 1 }),
  })
  fc.assert(
    fc.property(
      fc.array(blob, { maxLength: 12 }),
      arrival,
      fc.boolean(),
      (blobs, { places, together }, late) => {
        const stream = new BringingStream()
        const reader = new ObjectReader(stream as unknown as Stream)
        const read: Uint8Array[] = []
        const readAll = () => {
          for (let object = reader.poll(10_000); object !== undefined; object = reader.poll(10_000))
            read.push(bytesView.decode(object))
        }
        const parts = cut(concatBytes(blobs.map(each => encodeObject(bytesView, each))), places)
        for (let i = 0; parts.length > 0; i++) {
          const several = parts.splice(0, (together[i % together.length] ?? 0) + 1)
          const [first] = several
          stream.bring(several.length === 1 && first !== undefined ? first : new Uint8ArrayList(...several))
          if (!late) readAll()
        }
        readAll()
        assert.deepEqual(
          read.map(each => [...each]),
          blobs.map(each => [...each]),
        )
      },
    ),
  )
})
