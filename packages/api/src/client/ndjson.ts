import { parseJson } from '../json/index.ts'

/** The JSON documents of a body that has one a line; empty lines are passed over. */
export async function* parseLines(body: AsyncIterable<Uint8Array>): AsyncGenerator<unknown> {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  let rest = ''
  for await (const chunk of body) {
    const text = decoder.decode(chunk, { stream: true })
    if (!text.includes('\n')) {
      // Only appended: splitting would copy all of a long line for each of its chunks.
      rest += text
      continue
    }
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line !== '') yield parseJson(line)
  }
  rest += decoder.decode()
  if (rest.trim() !== '') yield parseJson(rest)
}

/** All of a body as text. */
export async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  let text = ''
  for await (const chunk of body) text += decoder.decode(chunk, { stream: true })
  return text + decoder.decode()
}
