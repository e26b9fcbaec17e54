/** Methods in spans: the same functions, with the same `this` as where they come from. */
import { traced, tracedItems, type SpanAttributes, type SpanOptions, type Tracer } from '@ipfs-cluster/base'

type Describe<Args extends readonly unknown[]> = (args: NoInfer<Args>) => SpanAttributes

const nothing = (): SpanAttributes => ({})

export interface Wrappers {
  /** A method with a promise. `describe` takes its arguments as a list. */
  one<Args extends readonly unknown[], Result>(
    name: string,
    method: (...args: Args) => Promise<Result>,
    describe?: Describe<Args>,
  ): (...args: Args) => Promise<Result>
  /** A method with many items. */
  many<Args extends readonly unknown[], Item>(
    name: string,
    method: (...args: Args) => AsyncIterable<Item>,
    describe?: Describe<Args>,
  ): (...args: Args) => AsyncGenerator<Item>
}

/** @param alone false: spans only within one that is under way; what nobody waits for begins no traces. */
export function createWrappers(
  tracer: Tracer,
  { alone, ...options }: Omit<SpanOptions, 'attributes'> & { readonly alone: boolean },
): Wrappers {
  const isWanted = () => alone || tracer.active() !== undefined
  return {
    one:
      (name, method, describe = nothing) =>
      async (...args) =>
        isWanted()
          ? await traced(tracer, name, { ...options, attributes: describe(args) }, () => method(...args))
          : await method(...args),
    many: (name, method, describe = nothing) =>
      async function* (...args) {
        if (!isWanted()) return yield* method(...args)
        return yield* tracedItems(tracer, name, { ...options, attributes: describe(args) }, () =>
          method(...args),
        )
      },
  }
}
