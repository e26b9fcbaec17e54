/** How the shards of a root do: not of Go, and only there where there are any. */
import type { ShardProblem, ShardsInfo } from '../types.ts'
import * as json from './values.ts'
import type { JsonValue } from './values.ts'

export const shardsInfo: JsonValue<ShardsInfo> = json.struct<ShardsInfo>('ShardsInfo', {
  total: { name: 'total', value: json.integer },
  pinned: {
    name: 'pinned',
    value: json.integer,
    about: 'Shards of which there are as many copies as there have to be at least.',
  },
  pinning: { name: 'pinning', value: json.integer, about: 'Shards of which more copies are on their way.' },
  error: { name: 'error', value: json.integer, about: 'The others.' },
  problems: {
    name: 'problems',
    value: json.list(
      json.struct<ShardProblem>('ShardProblem', {
        cid: { name: 'cid', value: json.cid },
        error: { name: 'error', value: json.string },
      }),
    ),
    about: 'What is wrong with these; of many, the first ones.',
  },
})
