/** Cuts a stream of bytes into chunks, as Kubo's `--chunker` says (formats: boxo `chunker`). */
import { createGatherer } from '@ipfs-cluster/base'
import { buzhashChunks } from './buzhash.ts'
import { unsupported } from './errors.ts'
import { rabinChunks, type RabinSizes } from './rabin.ts'

/** The pieces of a chunk, in order: whoever frames it puts others around them. */
export type Chunk = readonly Uint8Array[]

/** Chunks share memory with the source's buffers where they can, so a source must not reuse its buffers. */
export type Chunker = (source: AsyncIterable<Uint8Array>) => AsyncIterable<Chunk>

/** Blocks are at most 2 MiB on the wire; 256 bytes of it are kept for the framing of a leaf. */
const MAX_CHUNK_BYTES = 2 * 1024 * 1024 - 256
const DEFAULT_CHUNK_BYTES = 256 * 1024
const MIN_RABIN_BYTES = 16

/** @throws AdderError `ADD_UNSUPPORTED` with Go's text for a specification that is none. */
export function createChunker(specification: string): Chunker {
  if (specification === '' || specification === 'default') {
    return source => fixedChunks(source, DEFAULT_CHUNK_BYTES)
  }
  const [name, ...parameters] = specification.split('-')
  switch (name) {
    case 'size': {
      if (parameters.length !== 1) throw bad('incorrect chunker string format (expected size-{size})')
      const size = integer(parameters[0])
      if (size <= 0) throw bad('chunker size must be greater than 0')
      return source => fixedChunks(source, atMost(size))
    }
    case 'rabin': {
      const sizes = rabinSizes(parameters)
      return source => rabinChunks(source, sizes)
    }
    // Whatever stands behind it is ignored, as by Go.
    case 'buzhash':
      return buzhashChunks
    default:
      throw bad(`unrecognized chunker option: ${specification}`)
  }
}

async function* fixedChunks(source: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Chunk> {
  const pending = createGatherer(size)
  for await (const buffer of source) {
    let at = 0
    while (buffer.length - at >= size - pending.length) {
      const end = at + size - pending.length
      pending.add(buffer.subarray(at, end))
      at = end
      yield pending.take()
    }
    if (at < buffer.length) pending.add(buffer.subarray(at))
  }
  if (pending.length > 0) yield pending.take()
}

function rabinSizes(parameters: readonly string[]): RabinSizes {
  if (parameters.length < 2) {
    const avg = parameters.length === 0 ? DEFAULT_CHUNK_BYTES : integer(parameters[0])
    const min = Math.floor(avg / 3)
    if (min < MIN_RABIN_BYTES)
      throw bad(`rabin min must be greater than 16, that is rabin-${3 * MIN_RABIN_BYTES} or more`)
    return { min, avg, max: atMost(avg + Math.floor(avg / 2)) }
  }
  if (parameters.length !== 3) {
    throw bad("incorrect format (expected 'rabin' 'rabin-[avg]' or 'rabin-[min]-[avg]-[max]'")
  }
  const min = labelled(parameters[0], 'min', 'first label must be min')
  const avg = labelled(parameters[1], 'avg', 'second label must be avg')
  const max = labelled(parameters[2], 'max', 'final label must be max')
  if (min < MIN_RABIN_BYTES) throw bad('rabin min must be greater than 16')
  if (min >= avg) throw bad('incorrect format: rabin-min must be smaller than rabin-avg')
  if (avg >= max) throw bad('incorrect format: rabin-avg must be smaller than rabin-max')
  return { min, avg, max: atMost(max) }
}

/** `min:1000` or just `1000`. */
function labelled(text: string | undefined, label: string, problem: string): number {
  const parts = (text ?? '').split(':')
  if (parts.length > 1 && parts[0] !== label) throw bad(problem)
  return integer(parts.at(-1))
}

function integer(text: string | undefined): number {
  if (text === undefined || !/^[+-]?\d+$/.test(text)) {
    throw bad(`strconv.Atoi: parsing ${JSON.stringify(text ?? '')}: invalid syntax`)
  }
  return Number(text)
}

function atMost(size: number): number {
  if (size <= MAX_CHUNK_BYTES) return size
  throw bad(`chunker parameters may not exceed the maximum chunk size of ${MAX_CHUNK_BYTES}`)
}

function bad(message: string) {
  return unsupported('chunker', message)
}
