/**
 * Reads the query of a URL as Go's `url.ParseQuery` does: of pairs that are not properly escaped, or hold a semicolon, nothing is
 * taken (`URLSearchParams` takes them as they stand). Bytes that are not UTF-8 become U+FFFD.
 *
 * @param text with or without its question mark.
 */
export function parseQuery(text: string): URLSearchParams {
  const pairs = text.replace(/^\?/, '').split('&')
  return new URLSearchParams(pairs.filter(pair => !/;|%(?![\da-fA-F]{2})/.test(pair)).join('&'))
}
