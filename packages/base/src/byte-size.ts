/** Sizes in bytes as people write and read them (the words of `dustin/go-humanize`, which Go's programs use). */

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB']

/** Powers of 1000, and of 1024 with an `i`; the `B` may be missing, and letters may be small. */
const WRITTEN = /^(\d+)(?:\.(\d+))? *(?:([kmgtpe])(i)?)?b?$/i
const PREFIXES = 'kmgtpe'

/**
 * Reads `10GB`, `1.5 GiB`, `500k` or a plain number of bytes; fractions of a byte are cut off.
 *
 * @throws RangeError when it is not written like that.
 */
export function parseByteSize(text: string): bigint {
  const match = WRITTEN.exec(text.trim())
  if (match === null) {
    throw new RangeError(`${JSON.stringify(text)} is not a size such as 10GB, 512MiB or 1000000 (bytes)`)
  }
  const [, whole = '', fraction = '', prefix = '', binary] = match
  const power = BigInt(PREFIXES.indexOf(prefix.toLowerCase()) + 1)
  const unit = prefix === '' ? 1n : (binary === undefined ? 1000n : 1024n) ** power
  return (BigInt(whole + fraction) * unit) / 10n ** BigInt(fraction.length)
}

/**
 * `5 B`, `1.2 kB`, `83 MB`: powers of 1000, one decimal below 10. From there on it is rounded twice as in
 * go-humanize, to tenths and then halves to even, so that both show the same: 10.46 kB are 10.5 and then `10 kB`.
 */
export function formatByteSize(size: bigint): string {
  if (size < 10n) return `${size} B`
  let unit = 0
  let scale = 1n
  while (unit < UNITS.length - 1 && size / scale >= 1000n) {
    unit++
    scale *= 1000n
  }
  const tenths = Math.floor((Number(size) / Number(scale)) * 10 + 0.5)
  const text = unit > 0 && tenths < 100 ? (tenths / 10).toFixed(1) : String(halvesToEven(tenths))
  return `${text} ${UNITS[unit]}`
}

/** Whole numbers of so many tenths, as `%.0f` writes them; `toFixed` takes halves up. */
function halvesToEven(tenths: number): number {
  const whole = Math.floor(tenths / 10)
  const rest = tenths % 10
  return rest > 5 || (rest === 5 && whole % 2 === 1) ? whole + 1 : whole
}
