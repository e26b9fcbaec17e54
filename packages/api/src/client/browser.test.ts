import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { builtinModules, findPackageJSON } from 'node:module'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const IMPORT =
  /^\s*(?:import|export)\b(?!\s+type\b)(?:[^'";]*?\bfrom)?\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/gm

/** What a module imports when it runs. */
function importsOf(file: string): string[] {
  const code = readFileSync(file, 'utf8')
  return [...code.matchAll(IMPORT)].map(found => found[1] ?? found[2] ?? '')
}

/** The file that a browser's bundler takes for `specifier`. */
function resolveForBrowser(specifier: string, from: string): string {
  if (specifier.startsWith('.')) return replaced(join(dirname(from), specifier))
  const own = specifier.startsWith('#')
  const manifest = own
    ? findPackageJSON(pathToFileURL(from))
    : findPackageJSON(specifier, pathToFileURL(from))
  assert.ok(manifest, `${specifier} from ${from}`)
  const { name, exports, imports, main, module } = JSON.parse(readFileSync(manifest, 'utf8'))
  const target = own
    ? imports[specifier]
    : exports === undefined
      ? (module ?? main)
      : exportOf(exports, `.${specifier.slice(name.length)}`)
  const path = condition(target)
  assert.ok(typeof path === 'string', `${specifier} has nothing for browsers`)
  return replaced(join(dirname(manifest), path))
}

function exportOf(exports: Record<string, unknown> | string, key: string): unknown {
  if (typeof exports === 'string' || !Object.keys(exports).some(each => each.startsWith('.'))) return exports
  return exports[key]
}

function condition(target: unknown): unknown {
  if (typeof target !== 'object' || target === null) return target
  const conditions = target as Record<string, unknown>
  for (const name of ['browser', 'module', 'import', 'default']) {
    if (conditions[name] !== undefined) return condition(conditions[name])
  }
  return undefined
}

/** The `browser` field of a package may put other files in the place of its own. */
function replaced(file: string): string {
  const manifest = findPackageJSON(pathToFileURL(file))
  assert.ok(manifest)
  const { browser } = JSON.parse(readFileSync(manifest, 'utf8'))
  if (typeof browser !== 'object') return file
  const own = Object.entries<string>(browser).find(([from]) => join(dirname(manifest), from) === file)
  return own === undefined ? file : join(dirname(manifest), own[1])
}

/** All modules reached from `entry`, and whatever of Node they ask for. */
function graphOf(entry: string): { files: Set<string>; nodeImports: string[] } {
  const files = new Set<string>([entry])
  const nodeImports: string[] = []
  for (const file of files) {
    for (const specifier of importsOf(file)) {
      if (specifier.startsWith('node:') || builtinModules.includes(specifier)) {
        nodeImports.push(`${file}: ${specifier}`)
        continue
      }
      const target = resolveForBrowser(specifier, file)
      assert.ok(existsSync(target), `${file}: ${specifier}`)
      files.add(target)
    }
  }
  return { files, nodeImports }
}

for (const entry of ['./index.ts', '../index.ts', '../openapi/index.ts']) {
  test(`${entry} and all that it imports run in a browser`, () => {
    const { files, nodeImports } = graphOf(source(entry))
    assert.deepEqual(nodeImports, [])
    // It did follow packages, too.
    assert.ok([...files].some(file => file.includes('multiformats')))
    assert.ok([...files].some(file => file.endsWith('base/src/index.ts')))
    for (const file of files) {
      const code = readFileSync(file, 'utf8')
      if (file.includes('/packages/')) assert.doesNotMatch(code, /\b(Buffer|process)\b\s*[.(]/, file)
    }
  })
}

test('the check finds Node in the entry that is for Node', () => {
  assert.ok(graphOf(source('./node.ts')).nodeImports.length > 0)
})
