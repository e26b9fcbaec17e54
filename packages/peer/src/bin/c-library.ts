/** The C library of this process, for the few calls that Node has no API for. */
import type * as Ffi from 'node:ffi'

/** Undefined but on Linux, and where Node has no `node:ffi` (before 26) or was told to keep it off. */
export function loadFfi(): typeof Ffi | undefined {
  if (process.platform !== 'linux') return undefined
  const { emitWarning } = process
  // That it is experimental is for whoever reads this file, not for the peer's log.
  process.emitWarning = () => undefined
  try {
    return process.getBuiltinModule('node:ffi')
  } catch {
    // Not permitted: as good as absent.
    return undefined
  } finally {
    process.emitWarning = emitWarning
  }
}
