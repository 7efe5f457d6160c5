/** Returns a duration in milliseconds unchanged, for windows and settings. */
export function milliseconds(count: number): number {
  return count;
}

/** Converts seconds to milliseconds. */
export function seconds(count: number): number {
  return count * 1000;
}

/** Converts minutes to milliseconds. */
export function minutes(count: number): number {
  return count * 60_000;
}

/** Converts hours to milliseconds. */
export function hours(count: number): number {
  return count * 3_600_000;
}

/** Converts days to milliseconds. */
export function days(count: number): number {
  return count * 86_400_000;
}
