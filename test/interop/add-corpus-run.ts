/** Gives a case of the corpus to Kubo and to us, and brings both answers into one form. */
import { createHash } from 'node:crypto'
import { request } from 'node:http'
import { utf8 } from '@ipfs-cluster/base'
import { clusterQuery, kuboQuery, type AddCase, type Entry } from './add-corpus-content.ts'

/** `refused`, or a line an output in order: name, CID, cumulative size, apart by tabs. */
export type Outcome = 'refused' | readonly string[]

const BOUNDARY = 'corpus-boundary-1a2b3c'
const CONTENT_TYPES = {
  file: 'application/octet-stream',
  directory: 'application/x-directory',
  symlink: 'application/symlink',
} as const

/** @param api `http://…` of the daemon. */
export async function addToKubo(api: string, each: AddCase): Promise<Outcome> {
  // Kubo would keep modes and times; the cluster never does.
  const entries = each.entries().map(({ path, kind, data }) => ({ path, kind, data }))
  const answer = await upload(`${api}/api/v0/add?${kuboQuery(each.flags)}`, entries)
  return outcomeOf(answer, ({ Name, Hash, Size }) => `${Name}\t${Hash}\t${Size}`)
}

/** @param rest `http://…` of the peer. */
export async function addToCluster(rest: string, each: AddCase): Promise<Outcome> {
  const answer = await upload(`${rest}/add?${clusterQuery(each.flags)}`, each.entries())
  return outcomeOf(answer, ({ name, cid, size, bytes }) =>
    // Told of progress, not of something added.
    cid === null && bytes !== undefined ? undefined : `${name}\t${cid}\t${size ?? 0}`,
  )
}

// oxlint-disable-next-line typescript/no-explicit-any
type Json = any

function outcomeOf(text: string | undefined, lineOf: (output: Json) => string | undefined): Outcome {
  if (text === undefined) return 'refused'
  const objects = text.startsWith('[')
    ? (JSON.parse(text) as Json[])
    : text
        .split('\n')
        .filter(line => line !== '')
        .map(line => JSON.parse(line) as Json)
  return objects.map(lineOf).filter(line => line !== undefined)
}

/** The answer's body, or `undefined` when it is no success. */
async function upload(url: string, entries: readonly Entry[]): Promise<string | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<string | undefined>()
  const sent = request(url, {
    method: 'POST',
    headers: { 'Content-Type': `multipart/form-data; boundary=${BOUNDARY}` },
    agent: false,
  })
  sent.on('error', reject)
  sent.on('response', response => {
    const chunks: Buffer[] = []
    response.on('error', reject)
    response.on('data', chunk => void chunks.push(chunk))
    response.on('end', () => {
      const isSuccess = response.statusCode === 200 && !response.trailers['x-stream-error']
      resolve(isSuccess ? Buffer.concat(chunks).toString('utf8') : undefined)
    })
  })
  sent.end(Buffer.concat([...bodyOf(entries)]))
  return await promise
}

function* bodyOf(entries: readonly Entry[]): Generator<Uint8Array> {
  for (const { path, kind, data, fieldSuffix = '' } of entries) {
    // As Go's clients escape: a plus for a space.
    const filename = encodeURIComponent(path).replaceAll('%20', '+')
    yield utf8(
      `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file${fieldSuffix}"; filename="${filename}"\r\n` +
        `Content-Type: ${CONTENT_TYPES[kind]}\r\n\r\n`,
    )
    yield data
    yield utf8('\r\n')
  }
  yield utf8(`--${BOUNDARY}--\r\n`)
}

/** An outcome in little space: the root, and a digest over all lines. */
export function brief(outcome: Outcome): string {
  if (outcome === 'refused') return outcome
  const digest = createHash('sha256').update(outcome.join('\n')).digest('hex').slice(0, 16)
  return `${outcome.length} ${outcome.at(-1)?.split('\t')[1] ?? 'nothing'} ${digest}`
}

/** Differences that stay, and why. */
const VERDICTS: readonly { readonly id: RegExp; readonly why: string }[] = [
  {
    id: /^chunker "rabin-47"/,
    why: 'below rabin-48 Kubo (and Go) make one leaf of the whole file, however large: refused here',
  },
  {
    id: /^(a folder|the same file) twice \(HTTP/,
    why: 'Kubo refuses any entry that comes twice; Go takes it, and so do we where it says the same',
  },
  { id: /^no name/, why: 'Kubo calls a file without a name by its CID, Go and we by nothing' },
  {
    id: /^(several arguments|one argument twice) \(command/,
    why: "Kubo's command line sorts its arguments and takes each once; both ctls take them as they are given",
  },
]

/** Why this case may differ; `undefined`: it may not. */
export function verdictOf({ id }: AddCase, by: string): string | undefined {
  return VERDICTS.find(verdict => verdict.id.test(`${id} (${by})`))?.why
}
