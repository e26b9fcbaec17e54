/** JSON text as Go's `encoding/json` writes it, and numbers beyond 2^53 read exactly. */
import { ApiError } from '../api-error.ts'

// Everything but what stands for itself between quotes: not controls, quotes, backslashes, what Go escapes for HTML, surrogates.
const SPECIAL = /[^ !#-%'-;=?-[\]-\u2027\u202a-\ud7ff\ue000-\uffff]/
const HTML = /[<>&\u2028\u2029]/g

/** A JSON string; `<`, `>`, `&`, U+2028 and U+2029 are escaped, lone surrogates become U+FFFD. */
export function jsonString(text: string): string {
  if (!SPECIAL.test(text)) return `"${text}"`
  return JSON.stringify(text.toWellFormed()).replace(
    HTML,
    character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

const LONG = 16

/** True when 16 digits follow each other: such a run covers one of the places that are multiples of 16. */
function hasLongNumber(text: string): boolean {
  for (let i = LONG - 1; i < text.length; i += LONG) {
    if (!isDigit(text, i)) continue
    let [start, end] = [i, i + 1]
    while (isDigit(text, start - 1)) start--
    while (isDigit(text, end)) end++
    if (end - start >= LONG) return true
  }
  return false
}

function isDigit(text: string, i: number): boolean {
  const code = text.charCodeAt(i)
  return code >= 0x30 && code <= 0x39
}

// A string without an end is one token up to the end of the text: otherwise each quote in it would be tried as a beginning.
const STRING_OR_NUMBER = /"[^"\\]*(?:\\[^][^"\\]*)*(?:"|\\?$)|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g
const LONG_INTEGER = /^-?\d{16,}$/

/**
 * Like `JSON.parse`, but integers of 16 digits and more come as strings of their digits, so that nothing is lost; the codecs of
 * this package read them so.
 *
 * @throws ApiError `API_BAD_JSON`
 */
export function parseJson(text: string): unknown {
  const exact = hasLongNumber(text)
    ? text.replace(STRING_OR_NUMBER, token => (LONG_INTEGER.test(token) ? `"${token}"` : token))
    : text
  try {
    return JSON.parse(exact)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new ApiError(`not valid JSON: ${why}`, { code: 'API_BAD_JSON', field: '' }, { cause })
  }
}

/** Indents a JSON document as Go's `MarshalIndent` does: with four spaces, empty objects and lists on one line. */
export function indentJson(text: string): string {
  const out: string[] = []
  let depth = 0
  const line = () => `\n${'    '.repeat(depth)}`
  for (const [token] of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"|\{\}|\[\]|[{}[\],:]|[^\s"{}[\],:]+/g)) {
    if (token === '{' || token === '[') {
      depth++
      out.push(token, line())
    } else if (token === '}' || token === ']') {
      depth--
      out.push(line(), token)
    } else if (token === ',') out.push(token, line())
    else if (token === ':') out.push(': ')
    else out.push(token)
  }
  return out.join('')
}
