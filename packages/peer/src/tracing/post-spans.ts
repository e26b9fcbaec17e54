import { asError, concatBytes, errorMessage, utf8Text } from '@ipfs-cluster/base'
import { VERSION } from '../version.ts'
import type { TracingConfig } from './types.ts'

/** How a request ended. `failed`: it may go well later. `refused`: the same spans would be refused again. */
export type Delivery =
  | { readonly kind: 'accepted'; readonly rejected: number }
  | { readonly kind: 'refused'; readonly problem: string; readonly detail?: string }
  | {
      readonly kind: 'failed'
      readonly problem: string
      readonly detail?: string
      readonly retryAfterMs?: number
    }

/** Bytes of an answer that are looked at. */
const MAX_ANSWER_BYTES = 64 * 1024

/** POSTs an `ExportTraceServiceRequest` (OTLP 1.x, "OTLP/HTTP"). Never rejects. */
export async function postSpans(
  { tracesUrl, headers }: Pick<TracingConfig, 'tracesUrl' | 'headers'>,
  body: string,
  signal: AbortSignal | undefined,
): Promise<Delivery> {
  try {
    const response = await fetch(tracesUrl, {
      method: 'POST',
      headers: {
        'User-Agent': `ipfs-cluster-service/${VERSION}`,
        ...headers,
        'Content-Type': 'application/json',
      },
      body,
      // Headers may be secrets, and are meant for this server alone.
      redirect: 'manual',
      signal: signal ?? null,
    })
    const text = await readAnswer(response)
    if (response.ok) return { kind: 'accepted', rejected: rejectedSpans(text) }
    const problem = `it answered ${response.status}`
    const detail = text.slice(0, 1000)
    if (response.status !== 429 && response.status < 500) return { kind: 'refused', problem, detail }
    const seconds = Number(response.headers.get('retry-after'))
    return { kind: 'failed', problem, detail, ...(seconds > 0 ? { retryAfterMs: seconds * 1000 } : {}) }
  } catch (error) {
    // fetch says only that it failed; why stands in the cause.
    return { kind: 'failed', problem: errorMessage(asError(error).cause ?? error) }
  }
}

async function readAnswer(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of response.body ?? []) {
    length += chunk.length
    if (length > MAX_ANSWER_BYTES) break
    chunks.push(chunk)
  }
  return utf8Text(concatBytes(chunks))
}

/** `partialSuccess.rejectedSpans`, a 64-bit integer as text or number. */
function rejectedSpans(answer: string): number {
  try {
    const { partialSuccess } = JSON.parse(answer) as {
      readonly partialSuccess?: { readonly rejectedSpans?: unknown } | null
    }
    const rejected = Number(partialSuccess?.rejectedSpans ?? 0)
    return Number.isSafeInteger(rejected) && rejected > 0 ? rejected : 0
  } catch {
    // Answers may be empty, or in protobuf: accepted all the same.
    return 0
  }
}
