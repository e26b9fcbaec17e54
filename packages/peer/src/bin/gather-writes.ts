import type { Writable } from 'node:stream'

/**
 * From here on what is written to `stream` in one turn of the event loop goes out together: a busy peer logs a line for every request, and a
 * system call for each costs as much as the line. Call what it returns before the process ends, or the last turn is lost.
 */
export function gatherWrites(stream: Writable): () => void {
  let isHeld = false
  const release = () => {
    if (!isHeld) return
    isHeld = false
    stream.uncork()
  }
  const write = stream.write.bind(stream) as (...args: unknown[]) => boolean
  stream.write = (...args: unknown[]): boolean => {
    if (!isHeld) {
      isHeld = true
      stream.cork()
      setImmediate(release)
    }
    return write(...args)
  }
  return release
}
