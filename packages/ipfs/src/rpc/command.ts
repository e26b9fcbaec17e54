import type { IncomingMessage } from 'node:http'
import type { AbortOptions, Clock } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { NodeSession, RpcNode } from '../details.ts'
import type { Answer } from './answer.ts'
import type { ArgumentSpec, Options, OptionSpec } from './options.ts'
import type { UploadPart } from './types.ts'

/** One request for a command. */
export interface Call {
  readonly node: RpcNode
  readonly clock: Clock
  readonly request: IncomingMessage
  readonly args: readonly string[]
  readonly options: Options
  readonly answer: Answer
  /** Fires when the client leaves, the node stops, or the request's `timeout` is over. */
  readonly signal: AbortSignal
  /** Blocks, from others too unless the request is `offline`. Ends with the call. */
  readonly session: NodeSession
  /** The text of a CID as the request wants it (`cid-base`). */
  readonly cidText: (cid: CID) => string
  /** Of the body; of a command with `file` only. */
  readonly uploads: () => AsyncIterable<UploadPart>
}

/** A command of the RPC: what it takes, and what it does. */
export interface Command {
  readonly args?: readonly ArgumentSpec[]
  /** Name of the uploaded argument, which must be there. */
  readonly file?: string
  readonly options?: Readonly<Record<string, OptionSpec>>
  /** Answers. What it throws is answered as an error, or told in the trailer of an answer that has begun. */
  readonly run: (call: Call) => Promise<void>
}

export type ReadCall = Pick<Call, 'session'> & AbortOptions
