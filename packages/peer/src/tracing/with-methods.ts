/** `target` with some methods replaced. The others keep working on `target`, whatever it is made of. */
export function withMethods<T extends object>(target: T, methods: Partial<T>): T {
  const replaced = new Map<PropertyKey, unknown>(
    Reflect.ownKeys(methods).map(key => [key, methods[key as keyof T]]),
  )
  return new Proxy(target, {
    get(_target, key) {
      if (replaced.has(key)) return replaced.get(key)
      const value: unknown = Reflect.get(target, key, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}
