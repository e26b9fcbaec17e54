/** The requests of the differ, written down once and sent to both implementations. */
import { createHash } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'
import * as raw from 'multiformats/codecs/raw'

export interface DifferCase {
  /** `METHOD target`, with a note when that is not all. */
  readonly name: string
  /** Latin-1. `{self}`, `{other}`, `{ipfs}` stand for ids of the peer asked. */
  readonly request: (fill: (text: string) => string) => string
  readonly methods: readonly string[]
  readonly halfClose?: boolean
  /** What of the body has no certain order: its lines; the lists in it; those and, as they follow ids that differ, the keys of its maps. */
  readonly order?: 'lines' | 'lists' | 'maps'
  /** Sent to both afterwards, not compared: takes back what only one of them did. */
  readonly undo?: DifferCase
}

export interface AskOptions {
  readonly note?: string
  readonly headers?: readonly string[]
  readonly body?: string
  /** Chunked instead of with a length. */
  readonly chunked?: boolean
  readonly order?: DifferCase['order']
  readonly version?: string
}

const CRLF = '\r\n'

export function ask(method: string, target: string, options: AskOptions = {}): DifferCase {
  const { note, headers = [], body, chunked = false, order, version = '1.1' } = options
  return {
    name: `${method} ${target.length > 120 ? `${target.slice(0, 117)}…` : target}${note === undefined ? '' : ` (${note})`}`,
    methods: [method],
    ...(order === undefined ? {} : { order }),
    request: fill => {
      const lines = [`${method} ${fill(target)} HTTP/${version}`, 'Host: differ', ...headers.map(fill)]
      if (body === undefined) return [...lines, '', ''].join(CRLF)
      const content = fill(body)
      if (chunked) {
        const chunk = `${content.length.toString(16)}${CRLF}${content}${CRLF}0${CRLF}${CRLF}`
        return [...lines, 'Transfer-Encoding: chunked', '', chunk].join(CRLF)
      }
      return [...lines, `Content-Length: ${content.length}`, '', content].join(CRLF)
    },
  }
}

/** Several on one connection, sent without waiting for the answers. */
export function pipeline(note: string, cases: readonly DifferCase[]): DifferCase {
  return {
    name: `pipelined: ${note}`,
    methods: cases.flatMap(each => each.methods),
    request: fill => cases.map(each => each.request(fill)).join(''),
  }
}

/** Bytes that need not be a request. */
export function bytes(note: string, text: string, methods: readonly string[] = ['GET']): DifferCase {
  return { name: `raw: ${note}`, methods, request: fill => fill(text) }
}

export interface Part {
  readonly name?: string
  readonly filename?: string
  readonly type?: string
  readonly headers?: readonly string[]
  readonly content?: string
}

export const BOUNDARY = 'differ-boundary'

export function multipart(parts: readonly Part[], { end = true, boundary = BOUNDARY } = {}): string {
  const text = parts.map(({ name = 'file', filename, type, headers = [], content = '' }) => {
    const file = filename === undefined ? '' : `; filename="${filename}"`
    const lines = [`--${boundary}`, `Content-Disposition: form-data; name="${name}"${file}`, ...headers]
    if (type !== undefined) lines.push(`Content-Type: ${type}`)
    return [...lines, '', content].join(CRLF) + CRLF
  })
  return text.join('') + (end ? `--${boundary}--${CRLF}` : '')
}

export interface AddOptions extends AskOptions {
  readonly type?: string
}

/** `POST /add?query` with these parts, or with this body. */
export function add(query: string, parts: readonly Part[] | string, options: AddOptions = {}): DifferCase {
  const { type = `multipart/form-data; boundary=${BOUNDARY}`, headers = [], ...others } = options
  return ask('POST', `/add${query === '' ? '' : `?${query}`}`, {
    ...others,
    headers: [...headers, `Content-Type: ${type}`],
    body: typeof parts === 'string' ? parts : multipart(parts),
  })
}

export const file = (filename: string, content: string, more: Partial<Part> = {}): Part => ({
  filename,
  type: 'application/octet-stream',
  content,
  ...more,
})
export const folder = (filename: string): Part => ({ filename, type: 'application/x-directory' })

/** The content of a numbered file that both daemons have, and its CID as a raw leaf. */
export const content = (n: number): string => `differ file ${n}\n`
export const cidOf = (n: number): string => rawCid(content(n))
/** Nobody has it. */
export const nobodys = (n: number): string => rawCid(`nobody has ${n}`)

function rawCid(text: string): string {
  const digest = create(0x12, createHash('sha256').update(text, 'latin1').digest())
  return CID.createV1(raw.code, digest).toString()
}

/** How many numbered files are there. */
export const FILES = 100
