import type { Writable } from 'node:stream'

/** Where help and complaints go. */
export interface CliOutput {
  stdout(text: string): Promise<void>
  stderr(text: string): Promise<void>
}

/** Writes to a stream; resolves when it has room for more. */
export function writeTo(stream: Writable): (text: string | Uint8Array) => Promise<void> {
  return async text => {
    if (text.length > 0 && !stream.write(text)) await new Promise(resolve => stream.once('drain', resolve))
  }
}
