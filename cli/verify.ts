import { verifyLog, type Problem, type VerifiedPartition } from '../core/index.ts';
import { placeOf } from '../core/internal.ts';

/** The flags of `millrace verify`. */
export interface VerifyFlags {
  readonly json?: boolean;
}

/** Reads a data directory and prints its contents and its problems; changes nothing. */
export async function verifyCommand(directory: string, flags: VerifyFlags): Promise<void> {
  const isJson = flags.json === true;
  const onPartition = (partition: VerifiedPartition): void => {
    const { problems, ...counts } = partition;
    if (isJson) printJson({ type: 'partition', ...counts });
    else print(describePartition(partition));
    for (const problem of problems) printProblem(problem, isJson);
  };
  const found = await verifyLog(directory, { onPartition });
  for (const problem of found.problems) printProblem(problem, isJson);
  const { problemCount, ownerPid } = found;
  if (isJson) printJson({ type: 'summary', problems: problemCount, ownerPid: ownerPid ?? null });
  else {
    if (ownerPid !== undefined) {
      print(`process ${ownerPid} has the log open: what it was just writing was left out`);
    }
    print(verdict(problemCount));
  }
  if (problemCount > 0) process.exitCode = 1;
}

/** The last line: `OK` or the number of problems. */
export function verdict(problemCount: number): string {
  if (problemCount === 0) return 'OK';
  return problemCount === 1 ? '1 problem' : `${count(problemCount)} problems`;
}

/** Prints a problem: its place and what was found, then what that means. */
export function printProblem(problem: Problem, isJson: boolean): void {
  if (isJson) {
    printJson({ type: 'problem', ...problem });
    return;
  }
  const { severity, what, meaning } = problem;
  print(`  ${severity}: ${placeOf(problem)}: ${what}\n    ${meaning}`);
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value));
}

export function count(value: number): string {
  return value.toLocaleString('en-US');
}

function describePartition(found: VerifiedPartition): string {
  const { topic, partition, segments, batches, records, bytes, firstOffset, nextOffset } = found;
  return (
    `${topic}-${partition}: ${count(segments)} segments, ${count(batches)} batches, ` +
    `${count(records)} records, ${count(bytes)} bytes, offsets ${firstOffset} to ${nextOffset}`
  );
}
