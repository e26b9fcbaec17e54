/** What the user sees while content is replicated: a table that is redrawn on a terminal, lines elsewhere. */

export interface PeerRow {
  readonly name: string
  /** Pins here by status, for example `pinned 3`. */
  readonly status: string
  /** Bytes in the peer's IPFS node. */
  readonly bytes: number
  readonly pinned: number
  readonly expected: number
}

export interface Display {
  show(title: string, rows: readonly PeerRow[]): void
  /** Leaves what is shown, and says something below it. */
  say(text: string): void
}

const BAR_CHARS = 20
/** Without a terminal, a line at most this often. */
const LINE_EVERY_MS = 1_000

export function createDisplay(out: NodeJS.WriteStream): Display {
  let drawn = 0
  let lastLine = ''
  let lastAt = Number.NEGATIVE_INFINITY
  /** Came too soon after the one before. */
  let heldBack: string | undefined
  const writeLine = (line: string) => {
    heldBack = undefined
    lastLine = line
    lastAt = performance.now()
    out.write(`${line}\n`)
  }
  return {
    show(title, rows) {
      if (!out.isTTY) {
        const line = [
          title,
          ...rows.map(row => `${row.name}: ${row.status}, ${formatBytes(row.bytes)}`),
        ].join(' | ')
        if (line === lastLine) heldBack = undefined
        else if (performance.now() - lastAt < LINE_EVERY_MS) heldBack = line
        else writeLine(line)
        return
      }
      const lines = [title, ...tableLines(rows)]
      if (drawn > 0) out.write(`\x1b[${drawn}A\x1b[J`)
      out.write(`${lines.join('\n')}\n`)
      drawn = lines.length
    },
    say(text) {
      drawn = 0
      // How things stand in the end is always told.
      if (heldBack !== undefined) writeLine(heldBack)
      out.write(`${text}\n`)
    },
  }
}

function tableLines(rows: readonly PeerRow[]): string[] {
  const cells = rows.map(row => [row.name, row.status, formatBytes(row.bytes), bar(row)])
  const all = [['PEER', 'STATUS', 'BYTES', 'PROGRESS'], ...cells]
  const widths = [0, 1, 2].map(column => Math.max(...all.map(row => (row[column] ?? '').length)))
  return all.map(row =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd(),
  )
}

function bar({ pinned, expected }: PeerRow): string {
  if (expected === 0) return '-'
  const full = Math.round((BAR_CHARS * pinned) / expected)
  return `${'#'.repeat(full)}${'.'.repeat(BAR_CHARS - full)} ${pinned}/${expected}`
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}
