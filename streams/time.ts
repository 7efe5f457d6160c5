/** A duration in milliseconds, for windows and settings: itself. */
export function milliseconds(count: number): number {
  return count;
}

/** So many seconds, in milliseconds. */
export function seconds(count: number): number {
  return count * 1000;
}

/** So many minutes, in milliseconds. */
export function minutes(count: number): number {
  return count * 60_000;
}

/** So many hours, in milliseconds. */
export function hours(count: number): number {
  return count * 3_600_000;
}

/** So many days, in milliseconds. */
export function days(count: number): number {
  return count * 86_400_000;
}
