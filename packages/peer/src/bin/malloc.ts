/**
 * Keeps the malloc of the C library small. By default glibc has up to eight heaps for each core, gives back only what is free at the end of one, and takes
 * ever larger requests from them, so that much of what LevelDB and the HTTP parser free stays with the process (`docs/decisions/0017-store-engine.md`).
 */
import { loadFfi } from './c-library.ts'

/** `mallopt(3)`: names of glibc's malloc.h. */
const M_TRIM_THRESHOLD = -1
const M_MMAP_THRESHOLD = -3
const M_ARENA_MAX = -8
/** Bytes. Both are glibc's own at first, which then raises them up to 32 MiB and twice that unless they are set. */
const THRESHOLD = 128 * 1024
const ARENAS = 2

/** As glibc has them; other C libraries (musl) and systems lack at least one. */
const SIGNATURES = {
  mallopt: { arguments: ['i32', 'i32'], return: 'i32' },
  malloc_trim: { arguments: ['u64'], return: 'i32' },
} as const

/** Few heaps, which give back what is free at their end. @returns false where there is nothing to set. */
export function keepMallocSmall(): boolean {
  return withMalloc(({ mallopt }) => {
    mallopt(M_ARENA_MAX, ARENAS)
    mallopt(M_MMAP_THRESHOLD, THRESHOLD)
    mallopt(M_TRIM_THRESHOLD, THRESHOLD)
  })
}

/** Gives back every page in which nothing is in use. @returns false where that cannot be had. */
export function trimMalloc(): boolean {
  return withMalloc(({ malloc_trim }) => {
    malloc_trim(0n)
  })
}

interface Malloc {
  mallopt(name: number, value: number): unknown
  malloc_trim(keptBytes: bigint): unknown
}

function withMalloc(use: (malloc: Malloc) => void): boolean {
  using library = openMalloc()
  if (library !== undefined) use(library.functions)
  return library !== undefined
}

function openMalloc() {
  try {
    return loadFfi()?.dlopen(null, SIGNATURES)
  } catch {
    // Another C library, without one of the two.
    return undefined
  }
}
