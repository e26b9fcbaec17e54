/** Everything outside the program that ctl touches, so that it runs in a test as it runs in a terminal. */
import type { HttpTransport } from '@ipfs-cluster/api/client'
import type { AbortOptions, Clock } from '@ipfs-cluster/base'

export interface Io {
  /** Resolves when there is room for more. */
  stdout(text: string): Promise<void>
  stderr(text: string): Promise<void>
  /** The same as `stdout` for what is no text; absent when that is a terminal, which it would upset. */
  readonly stdoutBytes?: ((bytes: Uint8Array) => Promise<void>) | undefined
  readonly stdin: () => AsyncIterable<Uint8Array>
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly files: Files
  /** Fires when the user cancels the program. */
  readonly signal: AbortSignal
  /** What stderr is shown on, if that is a terminal. */
  readonly terminal?: Terminal
  /** Follows redirects. */
  readonly fetch: (url: string, options: AbortOptions) => Promise<Response>
  /** All addresses of a name, of one IP version or both; rejects when there are none. */
  readonly resolve: (name: string, family: 4 | 6 | undefined) => Promise<readonly string[]>
  /**
   * @param insecureTls do not verify certificates.
   * @param secret for hosts over libp2p: 32 bytes of their private network.
   */
  readonly transport: (insecureTls: boolean, secret: Uint8Array | undefined) => HttpTransport
}

export interface Terminal {
  write(text: string): Promise<void>
  /** As wide as it is now. */
  columns(): number
}

export type FileKind = 'file' | 'directory' | 'symlink' | 'other'

/** The parts of a file system that `add`, `export` and `health graph --file` need; failures are Node's errors. */
export interface Files {
  /** The current directory, without symlinks. */
  currentDirectory(): Promise<string>
  /** Of the entry itself, also when it is a symlink. */
  kind(path: string): Promise<FileKind>
  /** Bytes. */
  size(file: string): Promise<number>
  names(directory: string): Promise<string[]>
  target(symlink: string): Promise<string>
  read(file: string): AsyncIterable<Uint8Array>
  write(file: string, content: string): Promise<void>
  /** A file that is there, or replaces what is, only once it is finished. */
  create(file: string): Promise<FileSink>
}

/** Either `finish` or `discard` is called in the end. */
export interface FileSink {
  /** Resolves when it is written. */
  write(bytes: Uint8Array): Promise<void>
  finish(): Promise<void>
  discard(): Promise<void>
}
