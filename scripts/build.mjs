// `npm run build`: one publishable folder a package in dist/: JavaScript, declarations, and a package.json that points at them.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const dist = join(root, 'dist')
rmSync(dist, { recursive: true, force: true })

const tsc = createRequire(import.meta.url).resolve('typescript/package.json')
const compiled = spawnSync(process.execPath, [join(dirname(tsc), 'bin/tsc'), '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
})
if (compiled.status !== 0) process.exit(compiled.status ?? 1)

for (const name of readdirSync(join(root, 'packages'))) {
  const source = join(root, 'packages', name)
  const target = join(dist, name)
  const manifest = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8'))
  if (manifest.private === true) continue
  mkdirSync(target, { recursive: true })
  for (const file of ['bin', 'launcher.mjs']) {
    if (existsSync(join(source, file))) cpSync(join(source, file), join(target, file), { recursive: true })
  }
  for (const file of existsSync(join(target, 'bin')) ? readdirSync(join(target, 'bin')) : []) {
    const path = join(target, 'bin', file)
    writeFileSync(path, readFileSync(path, 'utf8').replaceAll(".ts'", ".js'"), { mode: 0o755 })
  }
  for (const file of ['LICENSE-MIT', 'LICENSE-APACHE', 'README.md'])
    cpSync(join(existsSync(join(source, file)) ? source : root, file), join(target, file))
  const exports = Object.fromEntries(
    Object.entries(manifest.exports).map(([key, path]) => [key, built(path)]),
  )
  writeFileSync(
    join(target, 'package.json'),
    `${JSON.stringify({ ...manifest, exports, files: undefined, devDependencies: undefined }, undefined, 2)}\n`,
  )
}
console.log(`built ${readdirSync(dist).join(', ')} in dist/`)

function built(path) {
  if (!path.endsWith('.ts')) return path
  return { types: path.replace(/\.ts$/, '.d.ts'), default: path.replace(/\.ts$/, '.js') }
}
