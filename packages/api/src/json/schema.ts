/** JSON Schema (2020-12) of what the codecs write, in the keywords that are needed here. */

type TypeName = 'string' | 'integer' | 'number' | 'boolean' | 'object' | 'array' | 'null'

export interface JsonSchema {
  /** Names a shape that many documents share: OpenAPI has it once, among its components. */
  readonly title?: string
  readonly description?: string
  readonly type?: TypeName | readonly TypeName[]
  readonly format?: string
  readonly enum?: readonly string[]
  readonly default?: string | number | boolean
  readonly minimum?: number
  readonly items?: JsonSchema
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: JsonSchema
  readonly propertyNames?: JsonSchema
  readonly pattern?: string
  readonly anyOf?: readonly JsonSchema[]
  readonly allOf?: readonly JsonSchema[]
  readonly contentMediaType?: string
}

/** The same, or `null`. */
export function orNull(schema: JsonSchema): JsonSchema {
  const { title, type, enum: names } = schema
  return title === undefined && typeof type === 'string' && names === undefined
    ? { ...schema, type: [type, 'null'] }
    : { anyOf: [schema, { type: 'null' }] }
}

/** The same, with words on what it means in this place. */
export function describe(schema: JsonSchema, description: string | undefined): JsonSchema {
  if (description === undefined) return schema
  return schema.title === undefined ? { ...schema, description } : { description, allOf: [schema] }
}

/** A shape with a name of its own. */
export function shared(title: string, schema: JsonSchema): JsonSchema {
  return { title, ...schema }
}
