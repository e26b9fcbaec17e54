/** Everything outside the program that ctl touches, so that it runs in a test as it runs in a terminal. */
import type { HttpTransport } from '@ipfs-cluster/api/client'
import type { Clock } from '@ipfs-cluster/base'

export interface Io {
  /** Resolves when there is room for more. */
  stdout(text: string): Promise<void>
  stderr(text: string): Promise<void>
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly files: Files
  /** Follows redirects. */
  readonly fetch: (url: string) => Promise<Response>
  /** @param insecureTls do not verify certificates. */
  readonly transport: (insecureTls: boolean) => HttpTransport
}

export type FileKind = 'file' | 'directory' | 'symlink' | 'other'

/** The parts of a file system that `add` and `health graph --file` need; failures are Node's errors. */
export interface Files {
  /** The current directory, without symlinks. */
  currentDirectory(): Promise<string>
  /** Of the entry itself, also when it is a symlink. */
  kind(path: string): Promise<FileKind>
  names(directory: string): Promise<string[]>
  target(symlink: string): Promise<string>
  read(file: string): AsyncIterable<Uint8Array>
  write(file: string, content: string): Promise<void>
}
