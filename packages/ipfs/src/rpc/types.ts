import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock, Logger } from '@ipfs-cluster/base'
import type { RpcNode } from '../details.ts'

/** Answers a request. The signal fires when the client leaves or the server stops. */
export type RpcHandler = (
  request: IncomingMessage,
  response: ServerResponse,
  signal: AbortSignal,
) => Promise<void>

/** A file, folder or symlink of an upload. */
export interface UploadPart {
  /** Unescaped, slash-separated; empty when it has no name. */
  readonly path: string
  readonly kind: 'file' | 'directory' | 'symlink'
  /** To be read before the next part comes. */
  readonly content: AsyncIterable<Uint8Array>
}

/** The parts of a `multipart/form-data` request, under back-pressure. @throws at once when it is none */
export type ReadUploads = (request: IncomingMessage, signal: AbortSignal) => AsyncIterable<UploadPart>

export interface RpcComponents {
  readonly node: RpcNode
  readonly uploads: ReadUploads
  readonly clock: Clock
  readonly logger: Logger
}

export interface RpcConfig {
  /** Origins of web pages that may ask (`http://localhost:3000`), or `*`. @default none */
  readonly allowedOrigins?: readonly string[]
}
