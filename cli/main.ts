#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { Command, CommanderError, Option } from 'commander';
import { JOB_DEFAULTS } from '../job/index.ts';
import { watchOutput } from './closed-output.ts';
import { complain, describeError } from './complain.ts';
import { dumpCommand, groupsCommand, topicsCommand, wholeNumber } from './look.ts';
import { repairCommand } from './repair.ts';
import { runCommand, seconds } from './run.ts';
import { printJson, verifyCommand } from './verify.ts';

/**
 * 0: done. 1: the command failed. 2: the command line is wrong. 130, 143: stopped by Ctrl-C, by
 * SIGTERM. 141: nobody reads the output any more.
 */
const FAILED = 1;
const USAGE_ERROR = 2;
const DATA_HELP = 'a data directory, as for run --data';
const DIRECTORY_HELP = 'a data directory, as for run --data, or the directory of one partition';

const program = new Command('millrace')
  .description('Stream processing on an embedded log: runs jobs, and looks into their data.')
  .version(versionOf())
  .exitOverride()
  .showHelpAfterError('(millrace --help lists the commands)');

program
  .command('run')
  .description('run a job to its end, or until Ctrl-C; the next run goes on where it stopped')
  .argument('<file>', 'a TypeScript or JavaScript file whose default export is defineJob({ ... })')
  .option('--data <directory>', 'where log, state and offsets are kept', './data')
  .option('--json', 'print progress, and the summary or an error, as a line of JSON each')
  .option('--quiet', 'print no progress')
  .option(
    '--stop-timeout <seconds>',
    'how long ending may take after Ctrl-C, SIGTERM or a failure',
    seconds,
    JOB_DEFAULTS.stopTimeoutMs / 1000,
  )
  .action(runCommand);

program
  .command('verify')
  .description('read a whole log and say what is wrong with it; changes nothing')
  .argument('[directory]', DIRECTORY_HELP, './data')
  .option('--json', 'print a line of JSON for each partition and problem')
  .action(verifyCommand);

program
  .command('repair')
  .description('mend what verify finds; what it takes away is kept beside the partitions')
  .argument('[directory]', DIRECTORY_HELP, './data')
  .option('--yes', 'do not ask')
  .option('--dry-run', 'say what would be done, and do nothing')
  .action(repairCommand);

program
  .command('topics')
  .description('list the topics of a log, also while it is in use')
  .argument('[directory]', DATA_HELP, './data')
  .option('--json', 'print a line of JSON for each topic')
  .action(topicsCommand);

program
  .command('dump')
  .description('print records as they stand in the log, also while it is in use')
  .usage('[options] [directory] <topic>')
  .argument('[directory]', `${DATA_HELP} (default: "./data")`)
  .argument('[topic]', 'a topic, or one partition of it, such as orders-0')
  .option('--from <offset>', 'where to begin in each partition', wholeNumber, 0)
  .addOption(
    new Option('--max <count>', 'how many records at most')
      .argParser(wholeNumber)
      .default(Infinity, 'all'),
  )
  .option('--json', 'print a line of JSON for each record')
  .action(dumpCommand);

program
  .command('groups')
  .description('list what consumer groups have committed, also while the log is in use')
  .argument('[directory]', DATA_HELP, './data')
  .option('--json', 'print a line of JSON for each group and partition')
  .action(groupsCommand);

watchOutput();
try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : USAGE_ERROR;
  else {
    complain(error);
    if (wantsJson()) printJson({ type: 'error', ...describeError(error) });
    // Exit now, as after any exception: parts of a failed job may keep running for a long time.
    process.exit(process.exitCode ?? FAILED);
  }
}

/** True if the command that ran has `--json`. */
function wantsJson(): boolean {
  const name = program.args[0];
  const command = program.commands.find((each) => each.name() === name);
  return command?.opts()['json'] === true;
}

function versionOf(): string {
  // One level up from cli/main.ts, two from dist/cli/main.js.
  for (const path of ['../package.json', '../../package.json']) {
    try {
      const text = readFileSync(new URL(path, import.meta.url), 'utf8');
      return (JSON.parse(text) as { version: string }).version;
    } catch {
      continue; // the other place
    }
  }
  return 'unknown';
}
