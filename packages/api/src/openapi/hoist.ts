type JsonObject = Readonly<Record<string, unknown>>

/**
 * Moves every schema with a title out of `document` and leaves a reference to `#/components/schemas/<title>` in its place.
 *
 * @returns copies; the schemas by their titles, in the order of the alphabet.
 */
export function hoistShared(document: JsonObject): { document: JsonObject; schemas: JsonObject } {
  const schemas = new Map<string, unknown>()
  const copy = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(copy)
    if (typeof value !== 'object' || value === null) return value
    const { title, ...rest } = value as JsonObject
    if (typeof title !== 'string') return copyFields(value as JsonObject)
    if (!schemas.has(title)) schemas.set(title, copyFields(rest))
    return { $ref: `#/components/schemas/${title}` }
  }
  const copyFields = (object: JsonObject) =>
    Object.fromEntries(Object.entries(object).map(([key, value]) => [key, copy(value)]))
  return {
    document: copyFields(document),
    schemas: Object.fromEntries([...schemas].sort(([a], [b]) => (a < b ? -1 : 1))),
  }
}
