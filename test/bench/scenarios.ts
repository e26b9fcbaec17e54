/** What is measured, by name. A scenario that is not part of the usual run is measured when it is named. */
import type { Scenario } from './scenario.ts'
import { ADD_SCENARIOS } from './scenarios-add.ts'
import { INGEST_SCENARIOS } from './scenarios-ingest.ts'
import { PINSET_SCENARIOS } from './scenarios-pinset.ts'
import { WORK_SCENARIOS } from './scenarios-work.ts'

export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  ...INGEST_SCENARIOS,
  ...PINSET_SCENARIOS,
  ...WORK_SCENARIOS,
  ...ADD_SCENARIOS,
}

const NAMED_ONLY: readonly string[] = [
  'imported',
  ...Object.keys(ADD_SCENARIOS).filter(name => name !== 'add'),
]

export const USUAL_SCENARIOS: readonly string[] = Object.keys(SCENARIOS).filter(
  name => !NAMED_ONLY.includes(name),
)

/** The size of a large pinset, and what is measured with one beside the usual run. */
export const LARGE = 1_000_000
export const LARGE_SCENARIOS: readonly string[] = ['bulk', 'pinset']
