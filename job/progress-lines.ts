import type { StageProgress } from './progress.ts';

/** The layout of a stage's progress. */
interface Layout {
  /** The name has a line of its own, above the figures. */
  readonly isStacked: boolean;
  /** Cells of the bar within its brackets; 0 for a percentage instead. */
  readonly barCells: number;
  readonly hasRate: boolean;
}

/** From the widest to the narrowest; we take the first in which every line fits. */
const LAYOUTS: readonly Layout[] = [
  { isStacked: false, barCells: 24, hasRate: true },
  { isStacked: false, barCells: 12, hasRate: true },
  { isStacked: false, barCells: 0, hasRate: true },
  { isStacked: true, barCells: 24, hasRate: true },
  { isStacked: true, barCells: 12, hasRate: true },
  { isStacked: true, barCells: 0, hasRate: true },
  { isStacked: true, barCells: 0, hasRate: false },
];

const KIND_CELLS = 'topology'.length;
const INDENT = '  ';
/** Reserved for lag or time left, so that the layout does not change with each of their digits. */
const REST_CELLS = 'lag 999,999'.length;

/**
 * The progress of the stages as lines of at most `width` cells, all columns in line. If they do not
 * fit, bars become shorter, then percentages, then each name gets a line of its own; only if even
 * that is too wide are lines cut, with an ellipsis.
 */
export function progressLines(stages: readonly StageProgress[], width: number): string[] {
  for (const layout of LAYOUTS) {
    const lines = layOut(stages, layout);
    if (lines.every(({ cells }) => cells <= width)) return lines.map(({ text }) => text);
  }
  const narrowest = layOut(stages, LAYOUTS[LAYOUTS.length - 1]!);
  return narrowest.map(({ text }) => cut(text, width));
}

/** The progress of a stage without a terminal. */
export function plainLine(stage: StageProgress): string {
  const { kind, name, fraction } = stage;
  const share = fraction === undefined ? '' : ` ${percent(fraction)}`;
  const figures = `${count(stage)}${share}, ${rate(stage)} ${rest(stage)}`;
  return `${kind} ${printable(name)}: ${figures}`.trimEnd();
}

interface Line {
  readonly text: string;
  /** Its width, including the reserved cells. */
  readonly cells: number;
}

function layOut(stages: readonly StageProgress[], layout: Layout): Line[] {
  const { isStacked, hasRate } = layout;
  const labels = stages.map(({ kind, name }) => `${kind.padEnd(KIND_CELLS)} ${printable(name)}`);
  const shares = stages.map(({ fraction }) => share(fraction, layout.barCells));
  const counts = stages.map(count);
  const rates = stages.map(rate);
  const [labelCells, shareCells] = [widest(labels), widest(shares)];
  const [countCells, rateCells] = [widest(counts), widest(rates)];
  return stages.flatMap((stage, index) => {
    const label = labels[index]!;
    const figures = [
      ...(shareCells === 0 ? [] : [shares[index]!.padEnd(shareCells) + ' ']),
      counts[index]!.padStart(countCells) + INDENT,
      ...(hasRate ? [rates[index]!.padStart(rateCells) + INDENT] : []),
    ].join('');
    const padding = ' '.repeat(labelCells - cellsOf(label));
    const before = isStacked ? INDENT + figures : `${label}${padding} ${figures}`;
    const end = rest(stage);
    const text = (before + end).trimEnd();
    const cells = cellsOf(before) + Math.max(REST_CELLS, end.length);
    const line: Line = { text, cells };
    return isStacked ? [{ text: label, cells: cellsOf(label) }, line] : [line];
  });
}

function share(fraction: number | undefined, barCells: number): string {
  if (fraction === undefined) return '';
  if (barCells === 0) return percent(fraction).padStart('100%'.length);
  const full = Math.round(Math.min(1, fraction) * barCells);
  return `[${'='.repeat(full)}${' '.repeat(barCells - full)}]`;
}

function percent(fraction: number): string {
  return `${Math.round(Math.min(1, fraction) * 100)}%`;
}

function count({ records }: StageProgress): string {
  return `${number(records)} records`;
}

function rate({ recordsPerSecond }: StageProgress): string {
  return `${number(Math.round(recordsPerSecond))}/s`;
}

/** How the stage ended, or how much is left to do. */
function rest({ isDone, isStopped, lag, etaMs }: StageProgress): string {
  if (isDone) return 'done';
  if (isStopped) return 'stopped';
  const parts: string[] = [];
  if (lag !== undefined && lag > 0) parts.push(`lag ${number(lag)}`);
  if (etaMs !== undefined && etaMs > 0) parts.push(`eta ${duration(etaMs)}`);
  return parts.join('  ');
}

/** In seconds up to two minutes, then in minutes, then in hours. */
function duration(ms: number): string {
  const seconds = Math.max(1, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds}s`;
  return seconds < 7200
    ? `${Math.round(seconds / 60)}min`
    : `${number(Math.round(seconds / 3600))}h`;
}

function number(value: number): string {
  return value.toLocaleString('en-US');
}

/** A name without characters that move the cursor. */
function printable(name: string): string {
  return name.replace(/\p{C}/gu, '?');
}

function widest(texts: readonly string[]): number {
  return Math.max(0, ...texts.map(cellsOf));
}

/**
 * The width of a text in cells. Characters that may be wide, such as Chinese, count as wide: a
 * column too few is better than a line that wraps.
 */
function cellsOf(text: string): number {
  let cells = 0;
  for (const character of text) cells += cellsOfOne(character);
  return cells;
}

function cellsOfOne(character: string): number {
  const isNarrow = character.codePointAt(0)! < 0x1100 || character === ELLIPSIS;
  return isNarrow ? 1 : 2;
}

const ELLIPSIS = '…';

function cut(text: string, width: number): string {
  if (cellsOf(text) <= width) return text;
  let [kept, cells] = ['', cellsOf(ELLIPSIS)];
  for (const character of text) {
    cells += cellsOfOne(character);
    if (cells > width) break;
    kept += character;
  }
  return kept.trimEnd() + ELLIPSIS;
}
