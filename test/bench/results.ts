/** Results in a file, one JSON document a line, and their table in the documentation. */
import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { table, type Result } from './figures.ts'

/** None when the file is not there yet. */
export async function readResults(file: string): Promise<Result[]> {
  try {
    const lines = (await readFile(file, 'utf8')).split('\n')
    return lines.filter(line => line !== '').map(line => JSON.parse(line) as Result)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

export async function keepResult(file: string, result: Result): Promise<void> {
  await appendFile(file, lineOf(result))
}

/** Replaces all that the file has. */
export async function writeResults(file: string, results: readonly Result[]): Promise<void> {
  await writeFile(file, results.map(lineOf).join(''))
}

const lineOf = (result: Result) => `${JSON.stringify(result)}\n`

/** The results that the table of docs/benchmarks.md is made of. */
export const RECORD = fileURLToPath(new URL('../../docs/benchmarks.jsonl', import.meta.url))

const DOCUMENT = new URL('../../docs/benchmarks.md', import.meta.url)
const [START, END] = ['<!-- table -->\n', '<!-- end of table -->']

/** Replaces the table of docs/benchmarks.md. */
export async function writeTable(results: readonly Result[]): Promise<void> {
  const before = await readFile(DOCUMENT, 'utf8')
  const from = before.indexOf(START)
  const to = before.indexOf(END)
  if (from < 0 || to < from) throw new Error('docs/benchmarks.md has no place for the table')
  const text = `${about(results)}\n\n${table(results)}`
  await writeFile(DOCUMENT, `${before.slice(0, from + START.length)}\n${text}\n${before.slice(to)}`)
}

/** When, where and how often it was measured. */
function about(results: readonly Result[]): string {
  const days = [...new Set(results.map(({ at }) => new Date(at).toISOString().slice(0, 10)))].toSorted()
  const machines = [...new Set(results.map(({ machine }) => machine))]
  const counts = new Map<string, number>()
  for (const { scenario, kind, pins } of results) {
    const key = `${scenario} ${kind} ${pins}`
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  const [least, most] = [Math.min(...counts.values()), Math.max(...counts.values())]
  const runs = least === most ? `${least}` : `${least} to ${most}`
  return `${days.join(', ')}; ${machines.join('; ')}. Runs: ${runs}.`
}
