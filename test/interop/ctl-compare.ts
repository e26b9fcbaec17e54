/** What two runs of ctl have in common once ids, times, ports and sizes are taken out, and which differences stay, and why. */
import type { CtlCase } from './ctl-cases.ts'

export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export type Field = keyof Outcome

/** Texts of a run, each with what it is called in all of them. */
export type Names = readonly (readonly [text: string, name: string])[]

export function normalise(outcome: Outcome, names: Names, { unordered, words }: CtlCase): Outcome {
  const common = (text: string) => {
    const named = general(names.reduce((before, [from, to]) => before.replaceAll(from, to), text))
    // What there is to collect is taken by the first who asks.
    return words.includes('gc')
      ? named.replace(/^ {4}- .*\n/gm, '').replace(/"keys": \[[^\]]*\]/, 'keys')
      : named
  }
  const stdout = common(helpShape(outcome.stdout))
  return {
    code: outcome.code,
    stdout: unordered ? sortedLines(stdout) : stdout,
    stderr: common(withoutLog(outcome.stderr)),
  }
}

function sortedLines(text: string): string {
  const lines = text.split('\n').map(line => line.replace(/,$/, ''))
  return lines.sort().join('\n')
}

function general(text: string): string {
  return (
    text
      // What Go does not tell: a column at the end of a line, a field at the end of an object.
      .replace(/ \| (Size|Progress): .*$/gm, '')
      .replace(/("timestamp": "[^"]*"|"priority_pin": (?:true|false)),\s*"size": \d+/g, '$1')
      .replace(/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?/g, '<time>')
      .replace(/Expires in: .*/g, 'Expires in: <time>')
      .replace(/"(expire|received_at|weight)": -?\d+/g, '"$1": <number>')
      .replace(/freespace: \S+ [kMGT]?B/g, 'freespace: <size>')
      .replace(/("value": )"\d+"/g, '$1"<number>"')
      .replace(/(\/(tcp|udp)\/|127\.0\.0\.1:|\[::1\]:)\d+/g, '$1<port>')
      .replace(/1\.1\.6\+(git|ts)[0-9a-f.]*/g, '1.1.6')
  )
}

/** Lines of Go's logger, and of ours: their words are free. */
function withoutLog(stderr: string): string {
  return stderr
    .split('\n')
    .filter(line => !/^\d{4}-\d\d-\d\dT\S+\t[A-Z]+\t/.test(line))
    .join('\n')
}

/** Flags that Go does not have; `pin ls` and `status` have none of their names there either. */
const OUR_FLAGS = /^(--(size|max-pin-size|from-file|shard-size) value|--(require-complete|shard))$/
const OUR_LISTING_FLAGS = /^--(name|match|metadata|peer|after|before|limit|cursor) value$/
const LISTINGS = /^ {3}ipfs-cluster-ctl (pin ls|status)\b/m

/** The words of help are our own: its titles, usage and left columns are not. */
function helpShape(stdout: string): string {
  const start = stdout.search(/^NAME:$/m)
  if (start < 0) return stdout
  const shape: string[] = []
  let title = ''
  const isOurs = (flag: string) =>
    OUR_FLAGS.test(flag) || (LISTINGS.test(stdout) && OUR_LISTING_FLAGS.test(flag))
  for (const line of stdout.slice(start).split('\n')) {
    if (/^[A-Z ]+:$/.test(line)) title = line
    const flag = /^ {3}(--?\w[\w-]*(?: value)?(?:, --?\w+(?: value)?)*)  +/.exec(line)?.[1]
    const command = /^ {3}(\w+(?:, \w)?)  +\S/.exec(line)?.[1]
    if (title === line || title === 'VERSION:') shape.push(line.trimEnd())
    else if (title === 'USAGE:') shape.push(line)
    else if (title === 'NAME:') shape.push(line.replace(/ - .*/, ' - '))
    else if (title === 'COMMANDS:' && command !== undefined) shape.push(command)
    else if (title.endsWith('OPTIONS:') && flag !== undefined && !isOurs(flag)) {
      const initial = /\(default: [^)]*\)/.exec(line)?.[0] ?? ''
      shape.push(`${flag} ${initial}`)
    }
  }
  return `${stdout.slice(0, start)}${shape.filter(line => line !== '').join('\n')}\n`
}

export type Part = 'ctl' | 'peer'

/** A difference that stays. */
interface Kept {
  readonly line: RegExp
  readonly fields: readonly Field[]
  /** Whose it is. */
  readonly part: Part
  readonly why: string
}

const KEPT: readonly Kept[] = [
  {
    line: /(^|} )(h|help|-h|--help)?$|--nothing id|-nothing id|---x$|--=x$|--timeout( x id)?$|--https=maybe/,
    fields: ['stdout'],
    part: 'ctl',
    why: 'help of the program also names our own commands, export and completion',
  },
  {
    line: /--format car/,
    fields: ['stderr'],
    part: 'peer',
    why: 'what is wrong with a CAR is said in more words',
  },
  {
    line: /(^| )commands$/,
    fields: ['stdout'],
    part: 'ctl',
    why: 'one command is ours: export',
  },
  {
    line: /help pin$|pin help$/,
    fields: ['stdout'],
    part: 'ctl',
    why: 'help of a group is the same however it is asked for; Go has a page without its commands, and one that calls it a program',
  },
  {
    line: / bad( |$)|--secret zz/,
    fields: ['stderr'],
    part: 'ctl',
    why: 'what is wrong inside a CID or a hex text is said in other words',
  },
  {
    line: /\.\.\/id/,
    fields: ['stdout'],
    part: 'ctl',
    why: 'no redirect is followed: a metric with ../ in its name is refused as such',
  },
  {
    line: /tcp\/1( |$)|tcp\/2 version|\/unix\/nothing|--https --host|--host \{tls\} version|--force-http version|\{silent\}/,
    fields: ['stdout'],
    part: 'ctl',
    why: 'failures of the network name every host that was tried, and what to do; "connection refused", "no such host" and the like are there',
  },
  {
    line: /nothing\.invalid/,
    fields: ['stderr', 'stdout'],
    part: 'ctl',
    why: 'a name that does not exist is said without the address of the name server; /dnsaddr is looked up at the first request',
  },
  {
    line: /\/ip4\/127\.0\.0\.1( version|\/udp)/,
    fields: ['stdout', 'stderr'],
    part: 'ctl',
    why: 'an address without a TCP port is refused; Go asks port 80, and takes UDP for TCP',
  },
  {
    line: /\{breaks\}/,
    fields: ['stdout'],
    part: 'ctl',
    why: 'what is no answer of a peer is described in other words',
  },
  {
    line: /pin add \/(ipfs\/(bad)?|nothing\/\{free\})?$/,
    fields: ['stderr'],
    part: 'ctl',
    why: 'a bad path is named as it was given; Go puts /ipfs/ in front of it and complains about that',
  },
  {
    line: /add (\{web\}\/missing|http:)/,
    fields: ['stdout', 'stderr'],
    part: 'ctl',
    why: 'a page that cannot be fetched is an error of its own on stderr; Go says whatever breaks first in the upload',
  },
  {
    line: /add (\{web\}\/missing|http:)/,
    fields: ['stdout', 'stderr'],
    part: 'peer',
    why: 'a page that cannot be fetched: Go says whatever breaks first in the upload',
  },
  {
    line: /add --format car /,
    fields: ['stdout'],
    part: 'peer',
    why: 'of a CAR that ends early it is said where',
  },
  {
    line: /--hash odd|--cid-version (2|-1)/,
    fields: ['stdout'],
    part: 'peer',
    why: 'a hash or CID version that does not exist is a bad request (400), and the answer names what there is',
  },
  {
    line: /--wt 3s/,
    fields: ['stderr'],
    part: 'ctl',
    why: 'a wait that took too long also says how long',
  },
  {
    line: /-- \{free\} --name/,
    fields: ['code', 'stdout', 'stderr'],
    part: 'ctl',
    why: 'a Go bug: behind --, what looks like a flag comes first among the arguments',
  },
  {
    line: /--enc json pin update --ns/,
    fields: ['stdout'],
    part: 'ctl',
    why: 'empty origins and metadata of an update are printed as for pin add, whatever the peer sent for them',
  },
  {
    line: /--enc json pin update --ns/,
    fields: ['stdout'],
    part: 'peer',
    why: 'empty origins of an update are null as for pin add, where Go has a list',
  },
  {
    line: /\{silent\}/,
    fields: ['stdout'],
    part: 'peer',
    why: 'Go has several words for its own time limit',
  },
]

export function reasonFor(line: string, field: Field, part: Part): string | undefined {
  return KEPT.find(kept => kept.line.test(line) && kept.fields.includes(field) && kept.part === part)?.why
}
