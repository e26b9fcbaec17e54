/** Two answers to the same request, without what may differ: ids, times, ports, versions, free space. */
import type { Conversation, RawResponse } from './differ-http.ts'
import type { DifferCase } from './differ-case.ts'

export interface Difference {
  readonly scenario: string
  readonly request: string
  /** `status`, `header Vary`, `trailer X-Stream-Error`, `body`, `connection`, `responses`; with the number of a pipelined one. */
  readonly what: string
  readonly go: string
  readonly ours: string
}

/** Literal texts of one side and what they become. */
export type Names = readonly (readonly [string, string])[]

const HOUR_MS = 3_600_000
/** Times further away were named by a request. */
const NEAR_MS = 400 * 24 * HOUR_MS

export function normalise(text: string, names: Names): string {
  let out = text
  for (const [from, to] of names) out = out.replaceAll(from, to)
  return withoutSizes(out)
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)/g, nearTime)
    .replaceAll(/\/(tcp|udp)\/\d+/g, '/$1/<port>')
    .replaceAll(/127\.0\.0\.1:\d+/g, '127.0.0.1:<port>')
    .replaceAll(/1\.1\.6(\+[\w.]+)?/g, '<version>')
    .replaceAll(/"(expire|received_at)":-?\d+/g, '"$1":<ns>')
    .replaceAll(/("name":"freespace",.*?"value":)"\d+"/g, '$1"<bytes>"')
    .replaceAll(/("name":"freespace",.*?"weight":)-?\d+/g, '$1<bytes>')
    .replaceAll(/\\"peer_name\\":\\"peer\d\\"/g, String.raw`\"peer_name\":\"<name>\"`)
    .replaceAll(/"(total_in|total_out|rate_in|rate_out)":[-\d.e+]+/g, '"$1":<n>')
}

/** What Go does not tell: fields at the end of pins and of statuses. */
function withoutSizes(text: string): string {
  return text
    .replaceAll(/("timestamp":"[^"]*"|"priority_pin":(?:true|false)),"size":\d+/g, '$1')
    .replaceAll(/,"progress":\{[^}]*\}/g, '')
}

function nearTime(text: string, fraction: string | undefined): string {
  const away = Math.abs(Date.parse(text) - Date.now())
  return away > NEAR_MS ? text : fraction === undefined ? '<time>' : '<time.fraction>'
}

export interface Answered {
  readonly conversation: Conversation
  readonly names: Names
}

/** Waits this long for an end of the connection that the other side has already. */
const CLOSE_MS = 1_500
const CLOSED_SOON_MS = 30

export async function compare(
  scenario: string,
  each: DifferCase,
  go: Answered,
  ours: Answered,
): Promise<Difference[]> {
  const found: Difference[] = []
  const [a, b] = [go.conversation, ours.conversation]
  const report = (what: string, goText: string, oursText: string) => {
    if (goText !== oursText) found.push({ scenario, request: each.name, what, go: goText, ours: oursText })
  }
  const count = Math.max(a.responses.length, b.responses.length)
  report('responses', String(a.responses.length), String(b.responses.length))
  for (let i = 0; i < count; i++) {
    const prefix = each.methods.length > 1 ? `${i + 1}: ` : ''
    const [left, right] = [a.responses[i], b.responses[i]]
    if (left === undefined || right === undefined) continue
    compareResponses(each, [left, go.names], [right, ours.names], (what, x, y) => report(prefix + what, x, y))
  }
  report('bytes after the responses', normalise(a.rest, go.names), normalise(b.rest, ours.names))
  const [goClosed, oursClosed] = [await a.closed(CLOSED_SOON_MS), await b.closed(CLOSED_SOON_MS)]
  if (goClosed !== oursClosed) {
    const [goLater, oursLater] = [await a.closed(CLOSE_MS), await b.closed(CLOSE_MS)]
    report('connection', goLater ? 'closed' : 'open', oursLater ? 'closed' : 'open')
  }
  return found
}

function compareResponses(
  { order }: DifferCase,
  [a, goNames]: readonly [RawResponse, Names],
  [b, ourNames]: readonly [RawResponse, Names],
  report: (what: string, go: string, ours: string) => void,
): void {
  report('status', `${a.status} ${a.reason}`, `${b.status} ${b.reason}`)
  const names = new Set([...a.headers, ...b.headers].map(([name]) => name))
  for (const name of names) {
    const go = valuesOf(a.headers, name).map(value => normaliseHeader(name, value, goNames, a))
    const ours = valuesOf(b.headers, name).map(value => normaliseHeader(name, value, ourNames, b))
    report(`header ${name}`, go.join(' | ') || '-', ours.join(' | ') || '-')
  }
  const trailers = (response: RawResponse, own: Names) =>
    response.trailers.map(([name, value]) => normalise(`${name}: ${value}`, own)).join(' | ')
  report('trailers', trailers(a, goNames), trailers(b, ourNames))
  report('body', ordered(normalise(a.body, goNames), order), ordered(normalise(b.body, ourNames), order))
  report('body is whole', String(a.whole), String(b.whole))
}

function valuesOf(headers: RawResponse['headers'], name: string): string[] {
  return headers.filter(([key]) => key === name).map(([, value]) => value)
}

function normaliseHeader(name: string, value: string, names: Names, response: RawResponse): string {
  if (name === 'Date') return '<date>'
  // Ids, versions and times have different lengths: it is right when it is that of its body.
  if (name === 'Content-Length' && Number(value) === Buffer.byteLength(response.body)) return '<length>'
  return normalise(value, names)
}

function ordered(body: string, order: DifferCase['order']): string {
  if (order === undefined) return body
  const lines = body.split('\n').sort()
  if (order === 'lines') return lines.join('\n')
  return body
    .split('\n')
    .map(line => {
      try {
        return JSON.stringify(
          sortLists(order === 'maps', JSON.parse(line.replaceAll(/:<(ns|bytes|n)>/g, ':"<$1>"'))),
        )
      } catch {
        // Not JSON: compared as it is.
        return line
      }
    })
    .sort()
    .join('\n')
}

function sortLists(keys: boolean, value: unknown): unknown {
  if (Array.isArray(value)) {
    return value
      .map(item => sortLists(keys, item))
      .sort((x, y) => (JSON.stringify(x) < JSON.stringify(y) ? -1 : 1))
  }
  if (value === null || typeof value !== 'object') return value
  const entries = Object.entries(value)
  if (keys) entries.sort(([x], [y]) => (x < y ? -1 : 1))
  return Object.fromEntries(entries.map(([key, item]) => [key, sortLists(keys, item)]))
}
