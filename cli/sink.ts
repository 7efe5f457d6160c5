import {
  verifyOutput,
  type OutputProblem,
  type VerifiedOutputPartition,
} from '../connect/index.ts';
import { count, print, printJson, verdict, type VerifyFlags } from './verify.ts';

/** Reads the output of a file sink and prints its contents and its problems; changes nothing. */
export async function sinkVerifyCommand(directory: string, flags: VerifyFlags): Promise<void> {
  const isJson = flags.json === true;
  const { partitions, problems, problemCount, isComplete, ownerPid } =
    await verifyOutput(directory);
  for (const partition of partitions) {
    if (isJson) printJson({ type: 'partition', ...partition });
    else print(describePartition(partition));
  }
  for (const problem of problems) {
    if (isJson) printJson({ type: 'problem', ...problem });
    else print(describeProblem(problem));
  }
  if (isJson) {
    const summary = { problems: problemCount, complete: isComplete, ownerPid: ownerPid ?? null };
    printJson({ type: 'summary', ...summary });
  } else {
    if (ownerPid !== undefined)
      print(`process ${ownerPid} is writing to it: this is its last commit`);
    if (!isComplete) print('not complete: more will follow');
    print(verdict(problemCount));
  }
  if (problemCount > 0) process.exitCode = 1;
}

function describePartition(found: VerifiedOutputPartition): string {
  const { topic, partition, parts, records, bytes, firstOffset, nextOffset, absent } = found;
  const gaps = absent === 0 ? '' : `, ${count(absent)} of them in no file`;
  return (
    `${topic}-${partition}: ${count(parts)} parts, ${count(records)} records, ` +
    `${count(bytes)} bytes, offsets ${firstOffset} to ${nextOffset}${gaps}`
  );
}

function describeProblem({ severity, file, what, meaning }: OutputProblem): string {
  return `  ${severity}: ${file}: ${what}\n    ${meaning}`;
}
