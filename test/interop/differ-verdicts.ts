/**
 * What is said of each kind of difference, and why ours is right or harmless. One that no row takes is a failure of ours until somebody finds
 * out. References are to `api.md`, the description of the Go API that the implementation follows.
 */
import type { Difference } from './differ-compare.ts'
import { TROUBLE_VERDICTS } from './differ-verdicts-trouble.ts'

export interface Verdict {
  readonly reason: string
  /** All that are given must match. */
  readonly scenario?: RegExp
  readonly request?: RegExp
  readonly what?: RegExp
  readonly go?: RegExp
  readonly ours?: RegExp
  /** Whether nothing else differs. */
  readonly holds?: (go: string, ours: string) => boolean
}

const FRAMING: readonly Verdict[] = [
  {
    reason:
      'Node tells HTTP/1.1 clients how long an idle connection lives; what it says is the default anyway',
    what: /header (Keep-Alive|Connection)$/,
    go: /^-$/,
    ours: /^(timeout=\d+|keep-alive|close)$/,
  },
  {
    reason:
      'a 204 has no body, so no trailers: Node refuses to announce them. Go announces and never sends them',
    what: /header Trailer$/,
    go: /^X-Stream-Error$/,
    ours: /^-$/,
    request: /(GET \/(pins|allocations)|POST \/pins\/recover|pipelined)/,
  },
  {
    reason:
      'HTTP/1.0 and a client that closes have no chunks, so no trailers: the error would be lost anyway',
    request: /\(HTTP\/1\.0\)|Connection: close/,
    what: /header (Trailer|Transfer-Encoding)|trailers/,
  },
  {
    reason: 'Go chunks bodies above 2 KiB, ours says how long they are: the same to every HTTP client',
    what: /header (Content-Length|Transfer-Encoding)$/,
    request: /POST \/pins\/.*(name=n|meta-k=v)|\/ipfs\/gc/,
  },
  {
    reason: 'a 405 to HEAD has no body; ours says so with the length 0',
    request: /HEAD /,
    what: /header Content-Length/,
  },
  {
    reason: 'Go adds a line of HTML for people to a redirect of GET; clients follow Location',
    what: /header Content-Type|body/,
    go: /text\/html|<a href=/,
    ours: /^-?$/,
  },
  {
    reason:
      'Go leaves an upload that it refused unread, and closes; ours reads it to its end, and the connection serves on',
    request: /\/add\?/,
    what: /^(connection|header Connection)$/,
    go: /^close/,
    ours: /^(open|keep-alive)$/,
  },
]

const HTTP: readonly Verdict[] = [
  {
    reason: 'Go bug: the redirect of `/` leads to itself for ever; ours is the 404 that it is',
    request: /GET \/$/,
  },
  { reason: 'Go bug: the handler panics and the connection breaks', request: /GET \/\/$/ },
  {
    reason: 'ours alone: many pins, one a line of the body; without lines there is nothing to do (204)',
    request: /(POST|DELETE) \/pins$/,
    go: /404|not found|^-$|^<length>$/,
  },
  {
    reason:
      "Node's parser knows the registered methods only, and closes after what it cannot read; still an error",
    request: /FROB \/id|lower-case method/,
  },
  {
    reason:
      'a badly escaped path: 400 both; ours in the JSON form of all errors, and the connection serves on',
    request: /GET \/(%|%zz)$/,
  },
  {
    reason: 'refused by both; Node words, frames and closes bad HTTP in its own way',
    request: /beyond the header limit|9 KiB of headers|HTTP\/2\.0|^raw: (?!only line feeds)|Expect/,
    what: /^(status|header|body|connection|trailers)/,
    go: /^(?!200 OK)/,
  },
  {
    reason:
      'Node reads header lines that end in CRLF only (RFC 9112 lets a server choose); no client sends others',
    request: /only line feeds/,
  },
  {
    reason: 'the same place: Go repeats the host of a proxy-style request, ours redirects relative to it',
    request: /http:\/\/other\.example/,
    what: /header Location/,
  },
]

const PEERS: readonly Verdict[] = [
  {
    reason: 'better: a body with something behind its JSON is refused, Go ignores what follows',
    request: /POST \/peers \(text behind\)/,
  },
  {
    reason: "better: keys are as documented; Go's decoder takes any case",
    request: /POST \/peers \(a key in capitals\)/,
  },
  { reason: 'better: a body of 2 MB is refused before all of it is read', request: /POST \/peers \(2 MB\)/ },
  {
    reason: 'same status; ours says who cannot be reached and what to check',
    request: /POST \/peers \((somebody unknown|one that is gone)\)/,
    what: /body/,
    go: /"code":500/,
    ours: /"code":500,"message":"Cluster\.ID on /,
  },
  {
    reason:
      'same status and beginning of the text; the cause after it is in the words of the JavaScript decoder',
    what: /body/,
    go: /"code":400,"message":"error decoding (Cid|Peer ID): /,
    ours: /^\{"code":400,"message":"error decoding (Cid|Peer ID): [^}]*\}\n$/,
  },
]

const PINS: readonly Verdict[] = [
  {
    reason:
      'Go bug: goes on after its 400 and does what was asked with half the options (api.md 1.4); ours stops',
    what: /body/,
    ours: /^\{"code":400,"message":"[^\n]*\}\n$/,
    holds: (go, ours) => go.startsWith(`${ours}{`),
  },
  {
    reason: 'Go bug: POST /pins/{cid}?mode=direct stores a recursive pin (api.md 1.4); ours is direct',
    request: /mode=direct|(GET|DELETE) \/(allocations|pins)\//,
    what: /body/,
    go: /"max_depth":-1/,
    ours: /"max_depth":0/,
  },
  {
    reason:
      'Go bug: direct pins are unexpectedly_unpinned in a list, pinned when asked for alone (api.md 1.5)',
    request: /with a direct pin/,
    what: /body/,
    holds: (go, ours) => {
      const listed = new Set(go.split('\n'))
      return ours.split('\n').filter(line => !listed.has(line)).length === 1
    },
  },
  {
    reason: 'the same instant: Go repeats the offset of the request in this answer, and stores UTC as ours',
    request: /expire-at=.*%2B02:00/,
  },
  {
    reason:
      'no origins, `[]` or `null`: Go answers either way to a POST, depending on whether it is an update',
    request: /pin-update=/,
    what: /body/,
    holds: (go, ours) => go === ours.replace('"origins":null', '"origins":[]'),
  },
  {
    reason:
      "Go also stores a folder around each file, which nothing refers to: garbage that ours doesn't make",
    request: /\/ipfs\/gc/,
    what: /body/,
    holds: (go, ours) =>
      withoutKeys(go) === withoutKeys(ours) && keysOf(ours).every(key => keysOf(go).includes(key)),
  },
]

const ADDS: readonly Verdict[] = [
  {
    reason: "Go bug: folders that come by turns hold each other's entries; ours holds what was sent for it",
    request: /folders by turns/,
  },
  {
    reason:
      'Go bug: an upload without parts, or a part without headers, panics; ours says that there is nothing to add',
    request: /no parts|no headers/,
  },
  {
    reason:
      'both fail; ours says in words what is wrong with the upload, and does not list a file that was cut',
    request: /no body|no multipart|no end|cut in a header|a bad header|another boundary/,
    what: /trailers|body/,
    ours: /X-Stream-Error: |"code":500|^$/,
  },
  {
    reason:
      'better: an unknown CID version is refused at once with the same text; Go takes the upload first (200, trailer)',
    request: /cid-version=(2|-1)$/,
  },
  {
    reason: 'Go bug: rabin-1 makes one block of a whole file, whatever its size; ours is refused',
    request: /rabin-1$/,
  },
  {
    reason:
      "same beginning, and what to use instead; Go finds out when the daemon refuses the blocks, which it calls 'failed to put block'",
    request: /hash=(nonsense|md5|identity|sha2-512)(&cid-version=1)?$/,
  },
  {
    reason: 'nocopy is a wish: without a path to refer to, the file is added with its blocks (api.md 1.6)',
    request: /nocopy=true/,
  },
  {
    reason: 'same failure; ours names the block or says what is wrong where Go says EOF',
    request: /format=car \((bad hash|empty|cut|no CAR|a link|version 2)\)/,
    what: /trailers/,
  },
  {
    reason:
      'a CAR without its root is not pinned: what is to be pinned is not there. Go pins it, and the daemons look for the root for ever (decision 0021)',
    request: /format=car \(root is missing\)/,
  },
  {
    reason:
      'a CAR may hold dag-json, whose links we can tell; Go decodes raw, dag-pb and dag-cbor (decision 0021)',
    request: /format=car \(dag-json\)/,
  },
  {
    reason: 'shards have 100 MiB when no size is given, where Go has 0, which no block fits (api.md 8)',
    request: /shard=true \(no size\)/,
  },
  {
    reason:
      'Go puts folders into the last shard that were there for a moment while it added (an empty one, or that of a single file); ours has the blocks of the DAG',
    request: /a (file|folder) in (one shard|shards)/,
    what: /body/,
  },
  {
    reason: 'says how large the block is that does not fit',
    request: /shard=true&shard-size=10$/,
  },
]

export const VERDICTS: readonly Verdict[] = [
  ...FRAMING,
  ...HTTP,
  ...PEERS,
  ...TROUBLE_VERDICTS,
  ...PINS,
  ...ADDS,
]

function keysOf(text: string): string[] {
  return [...text.matchAll(/"key":"(\w+)"/g)].map(([, key = '']) => key)
}

function withoutKeys(text: string): string {
  return text.replaceAll(/"keys":\[[^\]]*\]/g, '').replaceAll(/"error":"[^"]*"/g, '')
}

export function verdictOf(difference: Difference): Verdict | undefined {
  return VERDICTS.find(
    verdict =>
      (['scenario', 'request', 'what', 'go', 'ours'] as const).every(
        key => verdict[key]?.test(difference[key]) ?? true,
      ) &&
      (verdict.holds?.(difference.go, difference.ours) ?? true),
  )
}
