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

/** `5 B`, `1.2 kB`, `83 MB`: powers of 1000, one decimal below 10. */
export function formatByteSize(size: bigint): string {
  if (size < 10n) return `${size} B`
  let unit = 0
  let scale = 1n
  while (unit < UNITS.length - 1 && size / scale >= 1000n) {
    unit++
    scale *= 1000n
  }
  const value = Math.floor((Number(size) / Number(scale)) * 10 + 0.5) / 10
  return `${unit > 0 && value < 10 ? value.toFixed(1) : value.toFixed(0)} ${UNITS[unit]}`
}
