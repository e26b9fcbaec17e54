import { utf8 } from '@ipfs-cluster/base'
import type { AddPart } from '../route.ts'

/** Where the bytes of a file come from. Streams can be read once, so an upload of one is never repeated. */
export type FileContent = string | Uint8Array | Blob | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>

/**
 * A file of an upload. The folders on its way are made.
 *
 * @param path slash-separated, relative.
 */
export function filePart(path: string, content: FileContent): AddPart {
  return { path, kind: 'file', content: bytesOf(content) }
}

/** Files that a person chose or dropped: a `FileList`, or any files. Those of a chosen folder keep their place in it. */
export function fileParts(files: Iterable<File>): AddPart[] {
  return Array.from(files, file => filePart(file.webkitRelativePath || file.name, file))
}

async function* bytesOf(content: FileContent): AsyncGenerator<Uint8Array> {
  if (typeof content === 'string') yield utf8(content)
  else if (content instanceof Uint8Array) yield content
  else if (content instanceof Blob) yield* streamed(content.stream())
  else if (content instanceof ReadableStream) yield* streamed(content)
  else yield* content
}

/** Not all browsers can iterate over a stream. */
async function* streamed(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader()
  let done = false
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value
    done = true
  } finally {
    // Left early, the source is told; its failure to stop says nothing new.
    if (!done) await reader.cancel().catch(() => undefined)
  }
}
