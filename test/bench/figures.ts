/** What is measured, as rows of a table with a column for each implementation. */

export interface Figure {
  readonly what: string
  readonly unit: string
  readonly value: number
}

export class Figures {
  readonly #rows = new Map<string, { readonly unit: string; readonly values: Map<string, number[]> }>()

  /** Of one run; several of the same are shown as their median, with least and most. */
  add(column: string, figures: readonly Figure[]): void {
    for (const { what, unit, value } of figures) {
      const row = this.#rows.get(what) ?? { unit, values: new Map<string, number[]>() }
      this.#rows.set(what, row)
      row.values.set(column, [...(row.values.get(column) ?? []), value])
    }
  }

  /** A Markdown table; with both columns there, the ratio of the first to the second. */
  table(columns: readonly string[]): string {
    const [first, second] = columns
    const hasRatio = first !== undefined && second !== undefined
    const head = ['what', 'unit', ...columns, ...(hasRatio ? [`${first} / ${second}`] : [])]
    const lines = [head, head.map(() => '---')]
    for (const [what, { unit, values }] of this.#rows) {
      const medians = columns.map(column => median(values.get(column) ?? []))
      const ratio = (medians[0] ?? Number.NaN) / (medians[1] ?? Number.NaN)
      lines.push([
        what,
        unit,
        ...columns.map(column => cell(values.get(column) ?? [])),
        ...(hasRatio ? [Number.isFinite(ratio) ? ratio.toFixed(2) : ''] : []),
      ])
    }
    return lines.map(line => `| ${line.join(' | ')} |\n`).join('')
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN
}

function cell(values: readonly number[]): string {
  if (values.length === 0) return ''
  if (values.length === 1) return number(values[0] as number)
  return `${number(median(values))} (${number(Math.min(...values))}–${number(Math.max(...values))})`
}

function number(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en')
  return value.toPrecision(3)
}
