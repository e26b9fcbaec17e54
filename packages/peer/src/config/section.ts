/**
 * A section of `service.json` as a table of fields. The table says each key once; reading, environment, defaults and writing follow
 * from it (Go: the `configJSON` struct and `ApplyEnvVars` of each component).
 */
import { invalid } from './errors.ts'
import { expectObject, type Kind } from './kinds.ts'

export interface Field<T> {
  readonly kind: Kind<T>
  /** The value that `init` writes. */
  readonly initial: T
  /** What a key means that is missing from an existing section. */
  readonly missing: 'default' | 'zero'
  /** An empty value in the file (0, "", []) means the default, too. */
  readonly emptyIsDefault: boolean
  /** True: not written while it has this value. */
  omit?(value: T): boolean
  /** The text of what is wrong with it. */
  check?(value: T): string | undefined
  /** Never shown: `XXX_hidden_XXX` stands for it in what is meant for people. */
  readonly hidden?: boolean
  /** Set when the value is a section itself. */
  readonly inner?: Section<T>
}

type FieldOptions<T> = Partial<Omit<Field<T>, 'kind' | 'initial'>>

export function field<T>(kind: Kind<T>, initial: T, options: FieldOptions<T> = {}): Field<T> {
  return { kind, initial, missing: 'default', emptyIsDefault: false, ...options }
}

type Fields = Readonly<Record<string, Field<unknown>>>
export type Values<F> = { readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never }

export interface Section<V> {
  /** As it stands in environment variables: `CLUSTER_<NAME>_<FIELD>`; empty for the cluster section itself. */
  readonly name: string
  readonly initial: V
  /** Reads an existing section. @throws ConfigError that names the key. */
  parse(json: unknown): V
  /** Overlays what the environment sets. @throws ConfigError that names the variable. */
  withEnv(values: V, env: Environment): V
  /** @throws ConfigError */
  validate(values: V): void
  format(values: V): Record<string, unknown>
  /** For people: every key, secrets hidden (Go: `ToDisplayJSON`). */
  display(values: V): Record<string, unknown>
}

const HIDDEN = 'XXX_hidden_XXX'

export type Environment = Readonly<Record<string, string | undefined>>

/** @param check relations between fields: the text of the first problem. */
export function section<F extends Fields>(
  name: string,
  fields: F,
  check?: (values: Values<F>) => string | undefined,
): Section<Values<F>> {
  type V = Values<F>
  const entries: [string, Field<unknown>][] = Object.entries(fields)
  const build = (make: (key: string, field: Field<unknown>) => unknown) =>
    Object.fromEntries(entries.map(([key, each]) => [key, make(key, each)])) as V
  const label = (key: string) => (name === '' ? `cluster.${key}` : `${name}.${key}`)
  return {
    name,
    initial: build((_key, each) => each.initial),
    parse(json) {
      const given = guard(name === '' ? 'cluster' : name, () => caseless(expectObject(json)))
      return build((key, each) => {
        const value = given.get(key)
        if (value === undefined || isNone(value, each.kind)) {
          return each.missing === 'default' ? each.initial : each.kind.zero
        }
        const parsed = guard(label(key), () => each.kind.parse(value))
        return each.emptyIsDefault && isEmpty(parsed) ? each.initial : parsed
      })
    },
    withEnv(values, env) {
      return build((key, each) => {
        const value = (values as Readonly<Record<string, unknown>>)[key]
        if (each.inner !== undefined) return each.inner.withEnv(value, env)
        const variable = envName(name, key)
        const set = env[variable]
        if (set === undefined || (set === '' && each.kind.emptyIsMissing === true)) return value
        const parsed = guard(variable, () => each.kind.env(set))
        if (each.emptyIsDefault && isEmpty(parsed)) return each.initial
        return set === '' && parsed === '' && each.missing === 'default' ? value : parsed
      })
    },
    validate(values) {
      for (const [key, each] of entries) {
        const value = (values as Readonly<Record<string, unknown>>)[key]
        each.inner?.validate(value)
        const problem = each.check?.(value)
        if (problem !== undefined) throw invalid(label(key), problem)
      }
      const problem = check?.(values)
      if (problem !== undefined) throw invalid(name === '' ? 'cluster' : name, problem)
    },
    format(values) {
      const out: Record<string, unknown> = {}
      for (const [key, each] of entries) {
        const value = (values as Readonly<Record<string, unknown>>)[key]
        if (each.omit?.(value) !== true) out[key] = each.kind.format(value)
      }
      return out
    },
    display: values =>
      build((key, each) => {
        const value = (values as Readonly<Record<string, unknown>>)[key]
        if (each.hidden === true) return HIDDEN
        return each.inner?.display(value) ?? each.kind.format(value)
      }),
  }
}

/** A section inside a section (`connection_manager`). Missing as a whole: its initial values. */
export function nested<V>(inner: Section<V>, options: FieldOptions<V> = {}): Field<V> {
  const kind: Kind<V> = {
    zero: inner.initial,
    parse: json => inner.parse(json),
    env(): never {
      throw new RangeError('set its fields one by one')
    },
    format: value => inner.format(value),
  }
  return field(kind, inner.initial, { inner, ...options })
}

/** `max_pin_queue_size` of `stateless` is `CLUSTER_STATELESS_MAXPINQUEUESIZE`. */
export function envName(sectionName: string, key: string): string {
  const parts = sectionName === '' ? [key] : [...sectionName.split('.'), key]
  return ['CLUSTER', ...parts.map(part => part.replaceAll('_', '').toUpperCase())].join('_')
}

/** Go matches JSON keys without regard to case. */
export function caseless(object: Readonly<Record<string, unknown>>): ReadonlyMap<string, unknown> {
  return new Map(Object.entries(object).map(([key, value]) => [key.toLowerCase(), value]))
}

/** @throws ConfigError that names `key` when `work` refuses the value. */
export function guard<T>(key: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof RangeError) throw invalid(key, error.message)
    throw error
  }
}

function isNone(value: unknown, { zero, emptyIsMissing }: Kind<unknown>): boolean {
  return (value === null && zero !== null) || (value === '' && emptyIsMissing === true)
}

function isEmpty(value: unknown): boolean {
  return value === '' || value === 0 || (Array.isArray(value) && value.length === 0)
}
