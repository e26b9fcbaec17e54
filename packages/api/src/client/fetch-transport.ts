import type { HttpTransport } from './transport.ts'

/**
 * The transport of browsers. An upload is first collected in a Blob, because browsers do not stream one over HTTP/1.1.
 */
export function createFetchTransport(fetch: typeof globalThis.fetch = globalThis.fetch): HttpTransport {
  return {
    readsTrailers: false,
    async send({ host, method, path, headers, body }, { signal } = {}) {
      const content = body === undefined || typeof body === 'string' ? body : await collect(body)
      const response = await fetch(host + path, {
        method,
        headers,
        ...(content !== undefined && { body: content }),
        ...(signal !== undefined && { signal }),
      })
      return { status: response.status, body: read(response), trailer: () => [] }
    },
  }
}

async function collect(body: AsyncIterable<Uint8Array>): Promise<Blob> {
  const parts: BlobPart[] = []
  // A Blob copies what it is given: chunks may be views of a buffer that is used again.
  for await (const chunk of body) parts.push(new Blob([chunk as Uint8Array<ArrayBuffer>]))
  return new Blob(parts)
}

async function* read(response: Response): AsyncGenerator<Uint8Array> {
  if (response.body === null) return
  const reader = response.body.getReader()
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value
  } finally {
    // Harmless after the end; before it, this gives up the request. Its failure says nothing new.
    await reader.cancel().catch(() => undefined)
  }
}
