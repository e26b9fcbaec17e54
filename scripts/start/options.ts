import { parseArgs } from 'node:util'

export interface StartOptions {
  readonly peers: number
  readonly replicas: number
  /** Exit when everything is pinned. */
  readonly once: boolean
  /** Where the peers live; a second start with the same folder finds everything again. */
  readonly data: string | undefined
  /** Files and folders to add. */
  readonly paths: readonly string[]
  readonly help: boolean
}

export const USAGE = `npm start -- [--peers N] [--replicas R] [--once] [--data DIR] [PATH…]

Starts N cluster peers on this machine, each with a built-in IPFS node, adds the files and folders given (the project's own docs if none)
with R replicas, and shows where REST, gateway and ipfs-cluster-ctl are.

  --peers N      number of peers (default: 3)
  --replicas R   copies of each file (default: 2)
  --once         exit when everything is pinned: 0, or 1 with the reason
  --data DIR     keep the peers in DIR and find them again next time (default: a temporary folder, removed at the end)
`

const PEERS_MAX = 20

/** @throws Error with a text for the user. */
export function parseOptions(args: readonly string[]): StartOptions {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      peers: { type: 'string', default: '3' },
      replicas: { type: 'string', default: '2' },
      once: { type: 'boolean', default: false },
      data: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const peers = wholeNumber('--peers', values.peers, PEERS_MAX)
  const replicas = wholeNumber('--replicas', values.replicas, PEERS_MAX)
  if (replicas > peers) {
    throw new Error(
      `--replicas ${replicas} needs at least as many peers, but there are ${peers}; add --peers ${replicas}`,
    )
  }
  return { peers, replicas, once: values.once, data: values.data, paths: positionals, help: values.help }
}

function wholeNumber(flag: string, text: string, max: number): number {
  if (!/^\d+$/.test(text) || Number(text) < 1 || Number(text) > max) {
    throw new Error(`${flag} must be a whole number from 1 to ${max}, not ${JSON.stringify(text)}`)
  }
  return Number(text)
}
