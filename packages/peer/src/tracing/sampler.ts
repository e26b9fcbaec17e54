/** Digits of the trace id that decide: the last ones, which are random in every format of ids, and no more than a number holds exactly. */
const DIGITS = 13
const RANGE = 16 ** DIGITS

/**
 * Whether a trace is recorded. Every process that decides by the same share decides alike, and those of a smaller share take a part of
 * what those of a larger one take.
 *
 * @param probability 0 to 1.
 */
export function isSampled(traceId: string, probability: number): boolean {
  return Number.parseInt(traceId.slice(-DIGITS), 16) < probability * RANGE
}
