/** An adder for tests, in front of destinations that remember. */
import { DEFAULT_ADD_PARAMS, type AddParams, type NodeWithMeta, type Pin } from '@ipfs-cluster/api'
import { silentLogger, systemClock } from '@ipfs-cluster/base'
import { createAdder, type AddPart, type CreateAdderComponents } from './index.ts'
import { partsOf, type TestEntry } from './test-content.ts'

export type PutBlocks = CreateAdderComponents['putBlocks']

interface Recorded {
  readonly blocks: Map<string, NodeWithMeta[]>
  readonly pins: Pin[]
  readonly allocated: Pin[]
  readonly signals: AbortSignal[]
}

/** An adder whose destinations remember their blocks, but for those with a behaviour of their own. */
export function setUp(
  changes: Partial<CreateAdderComponents> & { readonly special?: Readonly<Record<string, PutBlocks>> } = {},
) {
  const recorded: Recorded = { blocks: new Map(), pins: [], allocated: [], signals: [] }
  const { special = {}, ...components } = changes
  const adder = createAdder({
    self: 'self',
    allocate: pin => {
      recorded.allocated.push(pin)
      return Promise.resolve(['a', 'b', 'c'])
    },
    pin: pin => {
      recorded.pins.push(pin)
      return Promise.resolve()
    },
    async putBlocks(peer, blocks, options) {
      if (options.signal !== undefined) recorded.signals.push(options.signal)
      const own = special[peer]
      if (own !== undefined) return await own(peer, blocks, options)
      const list: NodeWithMeta[] = []
      recorded.blocks.set(peer, list)
      for await (const block of blocks) list.push(block)
    },
    clock: systemClock,
    logger: silentLogger,
    ...components,
  })
  const add = (
    entries: Iterable<TestEntry> | AsyncIterable<AddPart>,
    params: Partial<AddParams> = {},
    signal?: AbortSignal,
  ) =>
    Array.fromAsync(
      adder.add(
        Symbol.asyncIterator in entries ? entries : partsOf(entries),
        { ...DEFAULT_ADD_PARAMS, ...params },
        { signal },
      ),
    )
  return { adder, add, ...recorded }
}
