import { createInterface } from 'node:readline/promises';
import { repairLog, type RepairPlan } from '../core/index.ts';
import { keepWorking } from './closed-output.ts';
import { print, printProblem, verdict } from './verify.ts';

/** The flags of `millrace repair`. */
export interface RepairFlags {
  readonly yes?: boolean;
  readonly dryRun?: boolean;
}

/** Prints the problems and the steps that would repair them, asks, and repairs. */
export async function repairCommand(directory: string, flags: RepairFlags): Promise<void> {
  const confirm = async (plan: RepairPlan): Promise<boolean> => {
    for (const problem of [...plan.problems, ...plan.others]) printProblem(problem, false);
    print('what is to be done; all bytes that go are kept in repair.<n>, in the directory:');
    for (const step of plan.steps) print(`  ${step}`);
    if (flags.dryRun === true) return false;
    return flags.yes === true || (await ask('do it? (y/N) '));
  };
  keepWorking();
  const { isDone, keptIn, problems } = await repairLog(directory, { confirm });
  if (!isDone) {
    print('nothing was changed');
    if (flags.dryRun !== true) process.exitCode = 1;
    return;
  }
  if (keptIn.length === 0) for (const problem of problems) printProblem(problem, false);
  for (const kept of keptIn) print(`what was taken away is in ${kept}`);
  const left = problems.filter(({ severity }) => severity === 'problem').length;
  print(verdict(left));
  if (left > 0) process.exitCode = 1;
}

/** Asks on the terminal; without a terminal the answer is no. */
async function ask(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) {
    print(`${question}no: this is no terminal; --yes says yes`);
    return false;
  }
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return /^y(es)?$/i.test((await terminal.question(question)).trim());
  } finally {
    terminal.close();
  }
}
