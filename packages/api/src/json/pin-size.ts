/** What Go does not tell of sizes: fields at the end of its documents, there only where there is something to say. */
import type { PinInfoShort, PinOptions, PinProgress } from '../types.ts'
import * as json from './values.ts'
import type { Fields, JsonValue } from './values.ts'

export const pinSizeFields: Fields<Pick<PinOptions, 'size' | 'maxPinSize'>> = {
  size: json.optional('size', json.uint64, 'Bytes of the content, where that is known.'),
  maxPinSize: json.optional(
    'max_pin_size',
    json.uint64,
    'Content of more bytes is not pinned; absent: as each peer is configured.',
  ),
}

const pinProgress: JsonValue<PinProgress> = json.struct<PinProgress>('PinProgress', {
  blocks: { name: 'blocks', value: json.integer },
  bytes: { name: 'bytes', value: json.uint64 },
  totalBytes: json.optional('total_bytes', json.uint64, 'Bytes of the content, where that is known.'),
  bytesPerSecond: { name: 'bytes_per_second', value: json.float, about: 'Of the last seconds.' },
})

export const pinInfoSizeFields: Fields<Pick<PinInfoShort, 'size' | 'progress'>> = {
  size: json.optional(
    'size',
    json.uint64,
    'Bytes that it takes on the peer, once it is pinned and where the IPFS daemon has told.',
  ),
  progress: json.optional('progress', pinProgress, 'Only while it is being pinned.'),
}
