import type { Chunk } from './chunker.ts'

/**
 * Cuts a stream where `cutPoint` says.
 *
 * @param maxBytes of a chunk; `cutPoint` gets as many, or fewer at the end of the content.
 * @param cutPoint length of the first chunk of these bytes, at least 1.
 */
export async function* cutByContent(
  source: AsyncIterable<Uint8Array>,
  maxBytes: number,
  cutPoint: (bytes: Uint8Array) => number,
): AsyncGenerator<Chunk> {
  const buffer = new Uint8Array(maxBytes)
  let filled = 0
  for await (const bytes of source) {
    let at = 0
    while (at < bytes.length) {
      const part = bytes.subarray(at, at + maxBytes - filled)
      buffer.set(part, filled)
      filled += part.length
      at += part.length
      // A cut is only certain when all the bytes it may look at are there.
      if (filled < maxBytes) continue
      const length = cutPoint(buffer)
      yield [buffer.slice(0, length)]
      buffer.copyWithin(0, length, filled)
      filled -= length
    }
  }
  for (let rest = buffer.subarray(0, filled); rest.length > 0;) {
    const length = cutPoint(rest)
    yield [rest.slice(0, length)]
    rest = rest.subarray(length)
  }
}
