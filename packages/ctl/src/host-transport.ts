/** The transport of a session: a time limit for each host that is asked, and failures in words that say what to do. */
import type { HttpTransport } from '@ipfs-cluster/api/client'
import { anySignal, errorCode, errorMessage, type Clock } from '@ipfs-cluster/base'

/** @param timeoutS for the whole of a request at one host, so that the next one still has its time; 0 is none. */
export function createHostTransport(inner: HttpTransport, timeoutS: number, clock: Clock): HttpTransport {
  return {
    readsTrailers: inner.readsTrailers,
    async send(call, options = {}) {
      const deadline = timeoutS > 0 ? clock.timeout(timeoutS * 1000) : undefined
      const explain = (cause: unknown): unknown => {
        if (options.signal?.aborted === true) return cause
        const text = deadline?.aborted === true ? `no answer within ${timeoutS} s` : networkText(cause)
        return new Error(text, { cause })
      }
      try {
        const answer = await inner.send(call, { signal: anySignal(options.signal, deadline) })
        const { status, body } = answer
        return { status, body: explained(body, explain), trailer: name => answer.trailer(name) }
      } catch (error) {
        throw explain(error)
      }
    },
  }
}

async function* explained(
  body: AsyncIterable<Uint8Array>,
  explain: (cause: unknown) => unknown,
): AsyncGenerator<Uint8Array> {
  try {
    yield* body
  } catch (error) {
    throw explain(error)
  }
}

const UNTRUSTED = 'the TLS certificate is not signed by anybody known here; --no-check-certificate accepts it'

/** What to say for a code of Node. Where Go has a short word for it, as scripts may look for, it is there. */
const TEXTS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'EOF: the connection was closed without an answer; is it an https endpoint?',
  EHOSTUNREACH: 'no route to host',
  ENETUNREACH: 'network is unreachable',
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the name server does not answer',
  EPROTO: 'the server does not speak https',
  ERR_SSL_WRONG_VERSION_NUMBER: 'the server does not speak https',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'the server does not speak https',
  HPE_INVALID_CONSTANT: 'the server does not speak HTTP',
  DEPTH_ZERO_SELF_SIGNED_CERT: UNTRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNTRUSTED,
  CERT_HAS_EXPIRED: 'the TLS certificate has expired; --no-check-certificate accepts it',
  ERR_TLS_CERT_ALTNAME_INVALID: 'the TLS certificate is for another name; --no-check-certificate accepts it',
}

export function networkText(error: unknown): string {
  // Several addresses of one name were tried; they mostly fail alike.
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error
  return TEXTS[errorCode(first) ?? ''] ?? errorMessage(error)
}
