import type { IncomingMessage, ServerResponse } from 'node:http'
import { anySignal, errorMessage, isAbortError } from '@ipfs-cluster/base'
import { IpfsNodeError } from '../errors.ts'
import { Answer, sendText } from './answer.ts'
import { addOriginHeaders, answerOptions, mayPass } from './browser-check.ts'
import { cidEncoder } from './cid-encoder.ts'
import type { Command } from './command.ts'
import { commandOf } from './commands.ts'
import { badRequest, messageOf, RpcError } from './errors.ts'
import { MAX_ARGUMENT_BYTES } from './limits.ts'
import { checkArguments, readOptions, readTimeout } from './options.ts'
import type { ReadUploads, RpcComponents, RpcConfig, RpcHandler, UploadPart } from './types.ts'

const PREFIX = '/api/v0/'

/** Kubo's RPC (`/api/v0/…`) of a built-in node. It holds nothing: a request ends with its signal. */
export function createKuboRpc(components: RpcComponents, config: RpcConfig = {}): RpcHandler {
  const { logger } = components
  const { allowedOrigins = [] } = config
  return async (request, response, signal) => {
    if (request.method === 'OPTIONS') return answerOptions(request, response, allowedOrigins)
    addOriginHeaders(request, response, allowedOrigins)
    if (request.method !== 'POST') {
      response.setHeader('Allow', 'OPTIONS, POST')
      return sendText(response, 405, '405 - Method Not Allowed')
    }
    if (!mayPass(request.headers, allowedOrigins)) {
      logger.warn({ origin: request.headers.origin }, 'an RPC request of a web page was refused')
      return sendText(response, 403, '403 - Forbidden')
    }
    const answer = new Answer(request, response, signal)
    try {
      await handle(components, request, response, { answer, signal })
      await answer.end()
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof RpcError && !answer.begun) {
        if (error.code === 'RPC_BAD_REQUEST') return sendText(response, 400, error.message)
        if (error.code === 'RPC_NO_COMMAND') return sendText(response, 404, error.message)
      }
      // What is neither of ours nor the end of a wait is a fault worth a look.
      const isExpected = error instanceof RpcError || error instanceof IpfsNodeError || isAbortError(error)
      const fields = { url: request.url?.slice(0, 200), error: errorMessage(error) }
      if (isExpected) logger.debug(fields, 'an RPC request failed')
      else logger.warn({ ...fields, err: error }, 'an RPC request failed')
      await answer.fail(messageOf(error))
    }
  }
}

interface Exchange {
  readonly answer: Answer
  readonly signal: AbortSignal
}

async function handle(
  { node, uploads, clock }: RpcComponents,
  request: IncomingMessage,
  response: ServerResponse,
  { answer, signal }: Exchange,
): Promise<void> {
  const { command, query } = target(request.url ?? '/')
  const options = readOptions(query, command.options ?? {})
  const encoding = options.text('encoding') ?? 'json'
  if (encoding !== 'json')
    throw badRequest(`invalid encoding: ${encoding.slice(0, 50)}: this node knows json only`)
  const timeoutMs = readTimeout(options)
  const cidText = cidEncoder(options)
  const read = readBody(uploads, request, response, signal)
  const args = await argumentsOf(command, query, request, read)
  const isUpload = /^multipart\//i.test(request.headers['content-type'] ?? '')
  if (command.file !== undefined && !isUpload) throw badRequest(`file argument '${command.file}' is required`)
  const ended = new AbortController()
  const deadline = timeoutMs === undefined ? undefined : clock.timeout(timeoutMs)
  const joined = anySignal(signal, ended.signal, deadline) ?? signal
  try {
    using session = node.details.session({ signal: joined, fetch: options.flag('offline') !== true })
    await command.run({
      node,
      clock,
      request,
      args,
      options,
      answer,
      signal: joined,
      session,
      cidText,
      uploads: read,
    })
  } catch (error) {
    signal.throwIfAborted()
    if (deadline?.aborted !== true) throw error
    throw new RpcError('context deadline exceeded', { code: 'RPC_TIMEOUT' }, { cause: error })
  } finally {
    ended.abort(new DOMException('answered', 'AbortError'))
  }
}

function target(url: string): { readonly command: Command; readonly query: URLSearchParams } {
  const at = url.indexOf('?')
  const path = at < 0 ? url : url.slice(0, at)
  const query = new URLSearchParams(at < 0 ? '' : url.slice(at + 1))
  const found = path.startsWith(PREFIX) ? commandOf(path.slice(PREFIX.length)) : undefined
  if (found === undefined) throw new RpcError('404 page not found', { code: 'RPC_NO_COMMAND' })
  if (found.argument !== undefined) query.append('arg', found.argument)
  return { command: found.command, query }
}

type ReadParts = () => AsyncIterable<UploadPart>

function readBody(
  uploads: ReadUploads,
  request: IncomingMessage,
  response: ServerResponse,
  signal: AbortSignal,
): ReadParts {
  return () => {
    if (request.headers.expect !== undefined && !response.headersSent) response.writeContinue()
    return uploads(request, signal)
  }
}

async function argumentsOf(
  { args: specs = [] }: Command,
  query: URLSearchParams,
  request: IncomingMessage,
  read: ReadParts,
): Promise<readonly string[]> {
  let args: readonly string[] = query.getAll('arg')
  const takesBody = specs.some(spec => spec.fromBody === true)
  if (args.length === 0 && takesBody && /^multipart\//i.test(request.headers['content-type'] ?? '')) {
    args = await bodyLines(read())
  }
  checkArguments(args, specs)
  return args
}

async function bodyLines(parts: AsyncIterable<UploadPart>): Promise<string[]> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const { content } of parts) {
    for await (const chunk of content) {
      bytes += chunk.length
      if (bytes > MAX_ARGUMENT_BYTES) throw badRequest(`more than ${MAX_ARGUMENT_BYTES} bytes of arguments`)
      chunks.push(chunk)
    }
  }
  const lines = Buffer.concat(chunks).toString().split(/\r?\n/)
  return lines.filter(line => line !== '')
}
