import type { Random } from 'millrace';
import { WINDOWS } from './data.ts';

/** The steps of a sink's commit, before each of which a kill may fall. */
const SINK_STEPS = ['sink-1-output', 'sink-2-offsets', 'sink-3-committed'] as const;
export type SinkStep = (typeof SINK_STEPS)[number];

/** When to kill a process: by the job's progress, not by the clock. */
export type Kill =
  /** Before any result is written: after this many flights read in this life. */
  | { readonly kind: 'read'; readonly flights: number }
  /** After this many windows written in all, in the middle of work. */
  | { readonly kind: 'windows'; readonly windows: number }
  /** After this many windows, at the next such step of a sink's commit. */
  | { readonly kind: 'commit'; readonly windows: number; readonly step: SinkStep };

/** The progress of a job. */
export interface Done {
  /** Flights read in this life of the process. */
  readonly flights: number;
  /** Windows written in this life, and in all that count. */
  readonly newWindows: number;
  readonly windows: number;
  /** Commits of the sinks, in all lives. */
  readonly sinkCommits: number;
}

/**
 * Of ten kills, this many fall before the sinks have written anything; of any number, fewer than
 * half.
 */
const EARLY_SHARE = 0.3;
/** Less than a source reads in a second, after which it commits. */
const EARLY_FLIGHTS = 100_000;

/**
 * Spreads kills over the work: some before the first result, the others over the windows,
 * alternating between the middle of work and a commit of a sink.
 */
export function planKills(count: number, random: Random): Kill[] {
  const earlyCount = Math.floor(count * EARLY_SHARE);
  const early = Array.from({ length: earlyCount }, (): Kill => {
    return { kind: 'read', flights: Math.floor(random.next() * EARLY_FLIGHTS) };
  });
  const lateCount = count - earlyCount;
  const late = Array.from({ length: lateCount }, (_, index): Kill => {
    const windows = Math.floor((WINDOWS * (index + random.next())) / (lateCount + 1));
    if (index % 2 === 1) return { kind: 'windows', windows };
    const step = SINK_STEPS[Math.floor(random.next() * SINK_STEPS.length)]!;
    return { kind: 'commit', windows, step };
  });
  return [...early, ...late];
}

/**
 * True if the kill is due. All but the early ones wait for the first commit of a sink, and for this
 * life of the process to have written something.
 *
 * @param step the step of a sink's commit that is about to run, if any.
 */
export function isDue(kill: Kill, done: Done, step: string | undefined): boolean {
  if (kill.kind === 'read') return done.flights >= kill.flights;
  const isThere = done.sinkCommits > 0 && done.newWindows > 0 && done.windows >= kill.windows;
  return isThere && (kill.kind === 'windows' || step === kill.step);
}
