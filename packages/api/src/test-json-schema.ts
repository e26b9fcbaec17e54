/**
 * A checker of JSON Schema (2020-12) for tests: the keywords of our own schemas and of OpenAPI's. An unknown keyword is an error of the
 * test, not passed over.
 */
type Schema = Readonly<Record<string, unknown>> | boolean

interface Context {
  readonly root: Schema
  readonly problems: string[]
}

/** @param root where `#/…` references lead. @returns what does not fit, each with its place; empty when all does. */
export function schemaProblems(value: unknown, schema: unknown, root: unknown = schema): string[] {
  const problems: string[] = []
  check(value, schema as Schema, '', { root: root as Schema, problems })
  return problems
}

/** Returns the properties that some part of the schema knows. */
function check(value: unknown, schema: Schema, at: string, context: Context): Set<string> {
  const known = new Set<string>()
  if (typeof schema === 'boolean') {
    if (!schema) context.problems.push(`${at}: nothing is allowed here`)
    return known
  }
  for (const [keyword, argument] of Object.entries(schema)) {
    const rule = RULES[keyword]
    if (rule === undefined) {
      if (!keyword.startsWith('x-') && !ANNOTATIONS.has(keyword))
        throw new Error(`unknown keyword ${keyword}`)
      continue
    }
    for (const name of rule({ value, argument, schema, at, context }) ?? []) known.add(name)
  }
  if (schema['unevaluatedProperties'] === false && isObject(value)) {
    for (const name of Object.keys(value)) {
      if (!known.has(name)) context.problems.push(`${at}/${name}: is not known`)
    }
  }
  return known
}

const ANNOTATIONS = new Set(
  '$id $schema $comment $defs $dynamicAnchor title description default contentMediaType then else unevaluatedProperties'.split(
    ' ',
  ),
)

interface Application {
  readonly value: unknown
  readonly argument: unknown
  readonly schema: Readonly<Record<string, unknown>>
  readonly at: string
  readonly context: Context
}

type Rule = (application: Application) => Iterable<string> | void

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Tries without noting problems. */
function fits(value: unknown, schema: Schema, { root }: Context): Set<string> | null {
  const problems: string[] = []
  const known = check(value, schema, '', { root, problems })
  return problems.length === 0 ? known : null
}

const TYPES: Readonly<Record<string, (value: unknown) => boolean>> = {
  null: value => value === null,
  boolean: value => typeof value === 'boolean',
  string: value => typeof value === 'string',
  number: value => typeof value === 'number',
  integer: value => Number.isInteger(value),
  array: Array.isArray,
  object: isObject,
}

const FORMATS: Readonly<Record<string, RegExp>> = {
  'date-time': /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/,
}

/** A rule that only judges. */
function rule(problem: (application: Application) => string | undefined): Rule {
  return application => {
    const text = problem(application)
    if (text !== undefined) application.context.problems.push(`${application.at}: ${text}`)
  }
}

const RULES: Readonly<Record<string, Rule>> = {
  $ref: ({ value, argument, at, context }) =>
    check(value, resolve(argument as string, context.root), at, context),
  $dynamicRef: ({ value, argument, at, context }) =>
    check(value, anchor(argument as string, context.root), at, context),
  type: rule(({ value, argument }) =>
    [argument].flat().some(type => TYPES[type as string]?.(value) === true)
      ? undefined
      : `${JSON.stringify(value)} is not of type ${String(argument)}`,
  ),
  enum: rule(({ value, argument }) =>
    (argument as unknown[]).includes(value) ? undefined : `${JSON.stringify(value)} is none of the values`,
  ),
  const: rule(({ value, argument }) => (value === argument ? undefined : `is not ${String(argument)}`)),
  pattern: rule(({ value, argument }) =>
    typeof value === 'string' && !new RegExp(argument as string, 'u').test(value)
      ? `${value} is not like ${String(argument)}`
      : undefined,
  ),
  format: rule(({ value, argument }) =>
    typeof value === 'string' && FORMATS[argument as string]?.test(value) === false
      ? `${value} is no ${String(argument)}`
      : undefined,
  ),
  minimum: rule(({ value, argument }) =>
    typeof value === 'number' && value < (argument as number) ? `${value} is too small` : undefined,
  ),
  minItems: rule(({ value, argument }) =>
    Array.isArray(value) && value.length < (argument as number) ? 'too few elements' : undefined,
  ),
  minProperties: rule(({ value, argument }) =>
    isObject(value) && Object.keys(value).length < (argument as number) ? 'too few properties' : undefined,
  ),
  required: rule(({ value, argument }) => {
    if (!isObject(value)) return undefined
    const missing = (argument as string[]).filter(name => !Object.hasOwn(value, name))
    return missing.length === 0 ? undefined : `${missing.join()} missing`
  }),
  items({ value, argument, at, context }) {
    if (!Array.isArray(value)) return
    for (const [i, item] of value.entries()) check(item, argument as Schema, `${at}/${i}`, context)
  },
  properties({ value, argument, at, context }) {
    if (!isObject(value)) return []
    const schemas = Object.entries(argument as Record<string, Schema>).filter(([name]) =>
      Object.hasOwn(value, name),
    )
    for (const [name, schema] of schemas) check(value[name], schema, `${at}/${name}`, context)
    return schemas.map(([name]) => name)
  },
  patternProperties({ value, argument, at, context }) {
    const found: string[] = []
    for (const [pattern, schema] of Object.entries(argument as Record<string, Schema>)) {
      for (const name of Object.keys(isObject(value) ? value : {})) {
        if (!new RegExp(pattern, 'u').test(name)) continue
        found.push(name)
        check((value as Record<string, unknown>)[name], schema, `${at}/${name}`, context)
      }
    }
    return found
  },
  additionalProperties({ value, argument, schema, at, context }) {
    if (!isObject(value)) return []
    const others = Object.keys(value).filter(name => !Object.hasOwn(Object(schema['properties']), name))
    for (const name of others) check(value[name], argument as Schema, `${at}/${name}`, context)
    return others
  },
  propertyNames({ value, argument, at, context }) {
    for (const name of Object.keys(isObject(value) ? value : {})) {
      check(name, argument as Schema, `${at}/${name}`, context)
    }
  },
  dependentSchemas({ value, argument, at, context }) {
    const applied = Object.entries(argument as Record<string, Schema>).filter(
      ([name]) => isObject(value) && Object.hasOwn(value, name),
    )
    return applied.flatMap(([, schema]) => [...check(value, schema, at, context)])
  },
  allOf: ({ value, argument, at, context }) =>
    (argument as Schema[]).flatMap(schema => [...check(value, schema, at, context)]),
  anyOf({ value, argument, at, context }) {
    const fitting = (argument as Schema[]).map(schema => fits(value, schema, context)).filter(Boolean)
    if (fitting.length === 0) context.problems.push(`${at}: fits none of anyOf`)
    return fitting.flatMap(known => [...(known ?? [])])
  },
  oneOf({ value, argument, at, context }) {
    const fitting = (argument as Schema[]).map(schema => fits(value, schema, context)).filter(Boolean)
    if (fitting.length !== 1) context.problems.push(`${at}: fits ${fitting.length} of oneOf`)
    return fitting.flatMap(known => [...(known ?? [])])
  },
  not: rule(({ value, argument, context }) =>
    fits(value, argument as Schema, context) === null ? undefined : 'fits what it must not',
  ),
  if({ value, argument, schema, at, context }) {
    const known = fits(value, argument as Schema, context)
    const next = schema[known === null ? 'else' : 'then'] as Schema | undefined
    return [...(known ?? []), ...(next === undefined ? [] : check(value, next, at, context))]
  },
}

/** @throws when the reference leads nowhere. */
export function resolve(reference: string, root: unknown): Schema {
  if (!reference.startsWith('#/')) throw new Error(`${reference} leads out of the document`)
  let found = root
  for (const segment of reference.slice(2).split('/')) {
    const name = decodeURIComponent(segment).replaceAll('~1', '/').replaceAll('~0', '~')
    if (!isObject(found) || !Object.hasOwn(found, name)) throw new Error(`${reference} leads nowhere`)
    found = found[name]
  }
  return found as Schema
}

function anchor(reference: string, root: Schema): Schema {
  const defs = typeof root === 'boolean' ? {} : (root['$defs'] as Record<string, Schema>)
  const found = Object.values(defs).find(
    schema => typeof schema !== 'boolean' && `#${String(schema['$dynamicAnchor'])}` === reference,
  )
  if (found === undefined) throw new Error(`${reference} leads nowhere`)
  return found
}
