/** The upload of `POST /add`: what was read of it, how far it has come, and how its parts failed. */
import type { AddParams } from '../types.ts'
import type { AddPart } from '../route.ts'

/** How far an upload has come. */
export interface UploadProgress {
  /** Of the part that is being sent. */
  readonly path: string
  /** Bytes of it that the transport has taken. */
  readonly bytes: number
  /** Bytes of all parts so far. */
  readonly totalBytes: number
}

export interface AddArgs {
  readonly params?: Partial<AddParams>
  /** Read once, one after the other, as they are sent; folders before what is in them. */
  readonly parts: Iterable<AddPart> | AsyncIterable<AddPart>
  /**
   * Called at the start of each part and after each chunk. The transport of Node takes what the peer takes; fetch takes all before it
   * sends anything.
   */
  readonly onProgress?: (progress: UploadProgress) => void
}

export interface Upload {
  readonly parts: AsyncIterable<AddPart>
  /** Something was read that can perhaps not be read again. */
  readonly touched: boolean
  /** The error of a part that could not be read. */
  readonly failure: unknown
}

export function createUpload({ parts, onProgress }: AddArgs): Upload {
  let touched = false
  let failure: unknown
  let totalBytes = 0
  async function* guarded<T>(source: Iterable<T> | AsyncIterable<T>): AsyncGenerator<T> {
    try {
      yield* source
    } catch (error) {
      failure = error
      throw error
    }
  }
  async function* counted({ path, content }: AddPart): AsyncGenerator<Uint8Array> {
    let bytes = 0
    onProgress?.({ path, bytes, totalBytes })
    for await (const chunk of guarded(content)) {
      yield chunk
      bytes += chunk.length
      totalBytes += chunk.length
      onProgress?.({ path, bytes, totalBytes })
    }
  }
  async function* read(): AsyncGenerator<AddPart> {
    touched = true
    for await (const part of guarded(parts)) yield { ...part, content: counted(part) }
  }
  return {
    parts: read(),
    get touched() {
      return touched
    },
    get failure() {
      return failure
    },
  }
}
