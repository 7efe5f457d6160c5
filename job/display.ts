import pc from 'picocolors';
import type { JobProgress, StageProgress } from './progress.ts';

/** Where progress goes: a terminal, or anything that takes text. */
export interface ProgressOutput {
  /** As a stream of Node. */
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

/** Shows the progress of a job while it runs. */
export interface ProgressDisplay {
  /** Shows how far the job has come. */
  show(progress: JobProgress): void;
  /** Shows the last progress once more and leaves it standing. */
  end(): void;
}

/** Between two plain lines of a stage. */
const PLAIN_INTERVAL_MS = 5_000;
const BAR_CELLS = 24;
const CURSOR_UP = (lines: number): string => `\u001b[${lines}A`;
const CLEAR_LINE = '\u001b[2K\r';

/**
 * On a terminal one line a stage, rewritten in place; elsewhere a plain line a stage now and then.
 */
export function progressDisplay(output: ProgressOutput): ProgressDisplay {
  return output.isTTY === true ? new TerminalDisplay(output) : new PlainDisplay(output);
}

class TerminalDisplay implements ProgressDisplay {
  readonly #output: ProgressOutput;
  #lines = 0;

  constructor(output: ProgressOutput) {
    this.#output = output;
  }

  show({ stages }: JobProgress): void {
    const width = this.#output.columns ?? 80;
    const up = this.#lines === 0 ? '' : CURSOR_UP(this.#lines);
    const lines = stages.map((stage) => CLEAR_LINE + terminalLine(stage, width) + '\n');
    this.#output.write(up + lines.join(''));
    this.#lines = stages.length;
  }

  end(): void {
    // it stands there already
  }
}

class PlainDisplay implements ProgressDisplay {
  readonly #output: ProgressOutput;
  #shownMs = -Infinity;
  #last: JobProgress | undefined;

  constructor(output: ProgressOutput) {
    this.#output = output;
  }

  show(progress: JobProgress): void {
    this.#last = progress;
    // Nothing to tell of the very start; then a line a stage every few seconds.
    if (progress.elapsedMs - Math.max(this.#shownMs, 0) < PLAIN_INTERVAL_MS) return;
    this.#print(progress);
  }

  end(): void {
    if (this.#last !== undefined && this.#last.elapsedMs !== this.#shownMs) this.#print(this.#last);
  }

  #print({ stages, elapsedMs }: JobProgress): void {
    this.#shownMs = elapsedMs;
    const seconds = (elapsedMs / 1000).toFixed(1);
    for (const stage of stages) this.#output.write(`${seconds}s ${plainLine(stage)}\n`);
  }
}

function terminalLine(stage: StageProgress, width: number): string {
  const label = `${stage.kind.padEnd(8)} ${stage.name}`.slice(0, 28).padEnd(28);
  const bar = stage.fraction === undefined ? '' : `${barOf(stage.fraction)} `;
  const mark = stage.isDone ? pc.green('done') : rest(stage);
  const plain = `${label} ${bar}${count(stage.records)}  ${rate(stage)}  `;
  return plain.slice(0, width - 8) + mark;
}

function plainLine(stage: StageProgress): string {
  const share = stage.fraction === undefined ? '' : ` ${Math.round(stage.fraction * 100)}%`;
  const end = stage.isDone ? 'done' : rest(stage);
  const figures = `${count(stage.records)}${share}, ${rate(stage)} ${end}`;
  return `${stage.kind} ${stage.name}: ${figures}`.trimEnd();
}

function barOf(fraction: number): string {
  const full = Math.round(Math.min(1, fraction) * BAR_CELLS);
  return `[${'='.repeat(full)}${' '.repeat(BAR_CELLS - full)}]`;
}

function rest({ lag, etaMs }: StageProgress): string {
  const parts: string[] = [];
  if (lag !== undefined && lag > 0) parts.push(`lag ${number(lag)}`);
  if (etaMs !== undefined && etaMs > 0) parts.push(`eta ${Math.max(1, Math.round(etaMs / 1000))}s`);
  return parts.join('  ');
}

function count(records: number): string {
  return `${number(records)} records`;
}

function rate({ recordsPerSecond }: StageProgress): string {
  return `${number(Math.round(recordsPerSecond))}/s`;
}

function number(value: number): string {
  return value.toLocaleString('en-US');
}
