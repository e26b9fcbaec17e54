/** One invocation, or a row of them in one folder, of `ipfs-cluster-service`, run by both implementations and compared part by part. */
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { startProcess, type ExitResult, type TestProcess } from '@ipfs-cluster/testkit'
import { binaries, type Json, type Kind } from './peers.ts'

/** What of the outcome is compared. */
export type Part = 'code' | 'stdout' | 'stderr' | 'files'

export interface Place {
  readonly kind: Kind
  /** The config folder; not there before the first step that makes it. */
  readonly folder: string
  /** Home and working folder of the processes. */
  readonly home: string
  /** Of the server that gives out configurations, without a slash at the end. */
  readonly url: string
}

export interface Invocation {
  /** Words behind the program; `-c <folder>` is put before them unless `bare`. */
  readonly args: string
  readonly bare?: boolean
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
  /** A daemon that stays: it is told to stop once its log matches. */
  readonly until?: RegExp
  /** What runs before it is told to stop; its outcome comes before the daemon's. */
  readonly meanwhile?: readonly Invocation[]
  /** How texts are compared: exactly; only the part of `error <doing>:`, as what follows is ours; by the lines in any order, or those that a help must have; or not. */
  readonly stderr?: 'exact' | 'doing' | 'any'
  readonly stdout?: 'exact' | 'lines' | 'help' | 'any'
}

export type Step = Invocation | ((place: Place) => Promise<void>)

export interface ServiceCase {
  readonly name: string
  readonly steps: readonly Step[]
  /** Parts that differ on purpose, and why. */
  readonly differs?: Readonly<Partial<Record<Part, string>>>
}

export type Outcome = Readonly<Record<Part, string>>

const DAEMON_READY_MS = 60_000
const END_MS = 40_000
/** A peer's own data, and not what `init` writes. */
const DATA = ['pebble', 'badger', 'badger3', 'leveldb', 'raft', 'store', 'ipfs']

export function invoke(args: string, more: Omit<Invocation, 'args'> = {}): Invocation {
  return { args, ...more }
}

/** Runs the steps for one implementation; all invocations together are the outcome. */
export async function runCase({ steps }: ServiceCase, place: Place): Promise<Outcome> {
  const outcome: Record<Part, string[]> = { code: [], stdout: [], stderr: [], files: [] }
  const record = (step: Invocation, { code, signal, stdout, stderr }: ExitResult) => {
    outcome.code.push(String(code ?? signal))
    outcome.stdout.push(comparableStdout(step, plain(stdout, place)))
    outcome.stderr.push(comparableStderr(step, withoutLog(plain(stderr, place)), code))
  }
  for (const step of steps) {
    if (typeof step === 'function') await step(place)
    else await runStep(step, place, record)
  }
  outcome.files.push(await filesOf(place))
  return {
    code: outcome.code.join(' '),
    stdout: outcome.stdout.join('\n--\n'),
    stderr: outcome.stderr.join('\n--\n'),
    files: outcome.files.join('\n'),
  }
}

async function runStep(
  step: Invocation,
  place: Place,
  record: (step: Invocation, result: ExitResult) => void,
): Promise<void> {
  const port = new URL(place.url).port
  const fill = (text: string) =>
    text.replaceAll('{url}', place.url).replaceAll('{folder}', place.folder).replaceAll('{port}', port)
  const words = step.args.split(' ').filter(word => word !== '')
  const args = [...(step.bare === true ? [] : ['-c', place.folder]), ...words.map(fill)]
  const env = Object.fromEntries(Object.entries(step.env ?? {}).map(([name, value]) => [name, fill(value)]))
  const options = { env: { HOME: place.home, ...env }, cwd: place.home, input: step.input ?? '' }
  if (step.until === undefined) {
    record(step, await toItsEnd(await startProcess(binaries[place.kind], args, options)))
    return
  }
  await using daemon = await startProcess(binaries[place.kind], args, {
    ...options,
    ready: step.until,
    readyTimeoutMs: DAEMON_READY_MS,
  })
  for (const each of step.meanwhile ?? []) await runStep(each, place, record)
  daemon.kill('SIGTERM')
  record(step, await daemon.exited)
}

/** What does not end by itself is ended, and its code tells. */
async function toItsEnd(child: TestProcess): Promise<ExitResult> {
  const timer = setTimeout(() => child.kill('SIGKILL'), END_MS)
  try {
    return await child.exited
  } finally {
    clearTimeout(timer)
  }
}

/** Without what is another in every run: places, secrets, ids made by `init`. */
function plain(text: string, { folder, home, url }: Place): string {
  return text
    .replaceAll(folder, '<folder>')
    .replaceAll(home, '<home>')
    .replaceAll(url, '<url>')
    .replaceAll(/\r/g, '')
}

/** Log lines start with the time, and continue until the next line that looks like a message of the program. */
function withoutLog(text: string): string {
  return text
    .split('\n')
    .filter(line => !/^\d{4}-\d\d-\d\dT/.test(line))
    .join('\n')
}

function comparableStdout({ stdout = 'exact' }: Invocation, text: string): string {
  if (stdout === 'any') return ''
  if (stdout === 'exact') return text
  if (stdout === 'lines') return text.split('\n').sort().join('\n')
  // Wording is free; which sections there are, which commands and which flags with which defaults, is not.
  const lines = text.split('\n').map(line => line.trimEnd())
  const wanted = lines.flatMap(line => {
    const item = /^ {3}(--?\S.*?|[a-z][a-z-]*(?:, h)?)(?: {2,}(.*))?$/.exec(line)
    if (
      /^(NAME|USAGE|VERSION|COMMANDS|OPTIONS|GLOBAL OPTIONS):$/.test(line) ||
      line.startsWith('Incorrect Usage')
    )
      return [line]
    // Ours alone.
    if (item === null || /^ {3}(--ipfs |completion )/.test(line)) return []
    // A text in words, and no table.
    if (item[2] === undefined && !(item[1] ?? '').includes(', ')) return []
    const tail = /(\(default: .*\))?\s*(\[\$.*\])?$/.exec(item[2] ?? '')?.[0].trim() ?? ''
    return [`${item[1]} ${tail}`.trim()]
  })
  const usage = lines[lines.indexOf('USAGE:') + 1] ?? ''
  return [usage, ...wanted].join('\n')
}

function comparableStderr({ stderr }: Invocation, text: string, code: number | null): string {
  const how = stderr ?? (code === 0 ? 'exact' : 'doing')
  if (how === 'any') return ''
  if (how === 'exact') return text
  return text.split('\n').map(line => /^error [^:]*:|^error:|^No help topic.*/.exec(line)?.[0] ?? '')[0] ?? ''
}

/** Names, modes and contents of what is in the folder, but for secrets, hosts and keys. */
async function filesOf({ folder }: Place): Promise<string> {
  const found = await stat(folder).catch(() => undefined)
  if (found === undefined) return 'no folder'
  const lines = [`. ${mode(found.mode)}`]
  for (const name of (await readdir(folder)).filter(each => !DATA.includes(each)).sort()) {
    const path = join(folder, name)
    const info = await stat(path)
    lines.push(`${name} ${mode(info.mode)}`)
    if (info.isFile()) lines.push(comparableContent(name, await readFile(path, 'utf8')))
  }
  return lines.join('\n')
}

const mode = (bits: number) => (bits & 0o777).toString(8)

function comparableContent(name: string, text: string): string {
  const known = text
    .replace(/"id": "12D3KooW\w*"?/, '"id": "…"')
    .replace(/"private_key": "CAESQ[\w+/]{86,}={0,2}"/, '"private_key": "…"')
  if (name === 'identity.json') return known
  // Go writes the addresses it knows in the order of its map.
  if (name === 'peerstore') return text.split('\n').sort().join('\n')
  return known
    .replace(/"secret": ?"[0-9a-f]{64}"/, secretMark)
    .replaceAll(hostname(), '<host>')
    .replaceAll(/\/(tcp|udp)\/(3[2-9]|[4-6]\d)\d{3}\b/g, '/$1/<port>')
}

/** Secrets that the cases choose consist of one byte. */
function secretMark(text: string): string {
  return /"([0-9a-f]{2})\1{31}"/.test(text) ? text : '"secret": "<random>"'
}

/** A change of `service.json`, for a step. */
export function edit(change: (config: Json) => void): Step {
  return async ({ folder }) => {
    const path = join(folder, 'service.json')
    const config = JSON.parse(await readFile(path, 'utf8'))
    change(config)
    await writeFile(path, JSON.stringify(config, null, 2))
  }
}

export function put(name: string, content: string | ((before: string) => string)): Step {
  return async ({ folder }) => {
    const path = join(folder, name)
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const before = await readFile(path, 'utf8').catch(() => '')
    await writeFile(path, typeof content === 'string' ? content : content(before), { mode: 0o600 })
    await chmod(path, 0o600)
  }
}
