/**
 * `ipfs-cluster-ctl`: the client of `@ipfs-cluster/api` as a command line, with the flags, output and exit codes of Go's ctl. The
 * program is `run`, which touches the outside only through `Io`; `main.ts` runs it in this process.
 */
export { run } from './run.ts'
export type { FileKind, Files, Io } from './io.ts'
