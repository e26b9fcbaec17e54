/** What a process and a folder cost, seen from outside. */
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setInterval } from 'node:timers/promises'

const SAMPLE_EVERY_MS = 100

/** Bytes of memory that the process has resident. Linux. */
export async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? '0') * 1024
}

export interface Memory {
  readonly resident: number
  /** Without the pages of mapped files, which the system takes back when it needs them. */
  readonly own: number
}

/** Bytes of memory of the process. Linux. */
export async function memoryOf(pid: number): Promise<Memory> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const field = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1] ?? '0') * 1024
  return { resident: field('VmRSS'), own: field('RssAnon') }
}

/** The largest resident memory while `work` runs. */
export async function peakResident<T>(
  pid: number,
  work: () => Promise<T>,
): Promise<{ result: T; peakBytes: number }> {
  const ended = new AbortController()
  let peakBytes = 0
  const watch = async () => {
    for await (const _ of setInterval(SAMPLE_EVERY_MS, undefined, { signal: ended.signal })) {
      peakBytes = Math.max(peakBytes, await residentBytes(pid))
    }
  }
  const watching = watch().catch((error: unknown) => {
    if (!ended.signal.aborted) throw error
  })
  try {
    return { result: await work(), peakBytes }
  } finally {
    ended.abort()
    await watching
  }
}

/** Makes the system forget the largest resident memory of the process so far. Linux, own processes. */
export async function forgetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, '5')
}

/** Bytes of the largest resident memory since then. Linux. */
export async function peakBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? '0') * 1024
}

/** Seconds of CPU that the process has used. Linux, at 100 ticks a second. */
export async function cpuSeconds(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** Bytes on disk below a folder. */
export async function diskBytes(folder: string): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    try {
      bytes += (await stat(join(entry.parentPath, entry.name))).blocks * 512
    } catch {
      // A compaction has removed it meanwhile.
    }
  }
  return bytes
}
