import { setFlagsFromString } from 'node:v8'

/** Its V8 has the flag; older ones print a complaint about what they do not know. */
const OLDEST_NODE = 26

/**
 * Makes V8 collect when the memory in use, buffers included, has grown by a share of it. Without this it collects everything each time that
 * some 20 MB of buffers were made, whatever became of them: half of the CPU of a peer that content streams through.
 */
export function countBuffersAsMemory(): void {
  if (Number.parseInt(process.versions.node, 10) < OLDEST_NODE) return
  setFlagsFromString('--external-memory-accounted-in-global-limit')
}
