#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { Command, CommanderError, Option } from 'commander';
import { JOB_DEFAULTS } from '../job/index.ts';
import {
  appResetCommand,
  appStoresCommand,
  appTopologyCommand,
  dateTime,
  distance,
  duration,
  topicList,
} from './app.ts';
import { watchOutput } from './closed-output.ts';
import { complain, describeError } from './complain.ts';
import { addConnectCommands } from './connect-commands.ts';
import { describeCommand, DESCRIPTION_FORMATS } from './describe.ts';
import { dlqListCommand, dlqReplayCommand, dlqShowCommand } from './dlq.ts';
import { dumpCommand, groupsCommand, topicsCommand, wholeNumber } from './look.ts';
import { repairCommand } from './repair.ts';
import { LOG_FORMATS, portNumber, runCommand, seconds } from './run.ts';
import { sinkVerifyCommand } from './sink.ts';
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
  .argument('<file>', 'a program whose default export is defineJob({ ... }), or YAML or JSON')
  .option('--data <directory>', 'where log, state and offsets are kept', './data')
  .option('--json', 'print progress, and the summary or an error, as a line of JSON each')
  .option('--quiet', 'print no progress')
  .option('--once', 'run now, whatever the schedule of the job says')
  .option('--check', 'run nothing: find the mistakes, and print the topology')
  .option(
    '--stop-timeout <seconds>',
    'how long ending may take after Ctrl-C, SIGTERM or a failure',
    seconds,
    JOB_DEFAULTS.stopTimeoutMs / 1000,
  )
  .option(
    '--metrics-port <port>',
    'serve metrics for Prometheus at this port, 0 for any',
    portNumber,
  )
  .option('--metrics-host <address>', 'at which address, such as 0.0.0.0', '127.0.0.1')
  .addOption(
    new Option('--log <format>', 'how to print what happens')
      .choices(LOG_FORMATS)
      .default('text')
      .env('MILLRACE_LOG'),
  )
  .action(runCommand);

program
  .command('describe')
  .description('print the topology of a job: its parts, what they do, read, write and keep')
  .argument('<file>', 'as for run')
  .addOption(
    new Option('--format <format>', 'how to print it').choices(DESCRIPTION_FORMATS).default('text'),
  )
  .option('--topology <name>', 'which one, of a job with several; by default all')
  .action(describeCommand);

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

const dlq = program
  .command('dlq')
  .description('dead letters: what applications and connectors could not handle');

choosing(dlq.command('list'), 'only those')
  .description('list dead letters, also while the log is in use')
  .argument('[topic]', 'their topic; by default all that end in -dead-letters')
  .option('--json', 'print a line of JSON for each')
  .action(dlqListCommand);

dlq
  .command('show')
  .description('print a dead letter with its bytes, headers and stack')
  .argument('<place>', 'as list prints it, such as orders-dead-letters-0@12')
  .option('--data <directory>', DATA_HELP, './data')
  .option('--json', 'print a line of JSON')
  .action(dlqShowCommand);

choosing(dlq.command('replay'), 'replay only those')
  .description('send dead letters back to where they came from, each once')
  .argument('<topic>', 'their topic')
  .option('--group <name>', 'whose position tells what was replayed (default: <topic>-replay)')
  .option('--dry-run', 'say what would be sent, and send nothing')
  .option('--json', 'print a line of JSON for each, and a summary')
  .action(dlqReplayCommand);

program
  .command('sink')
  .description('what sinks have written')
  .command('verify')
  .description(
    'read the whole output of a file sink and say what is wrong with it; changes nothing',
  )
  .argument('<directory>', 'the path of the sink: where its manifest.json is')
  .option('--json', 'print a line of JSON for each partition and problem')
  .action(sinkVerifyCommand);

addConnectCommands(program);

const app = program
  .command('app')
  .description('applications: the topology that ran last, their stores, and a new beginning');

naming(app.command('topology'))
  .description('print the topology that ran last, or what a job would change')
  .addOption(
    new Option('--format <format>', 'how to print it').choices(DESCRIPTION_FORMATS).default('text'),
  )
  .option('--diff <file>', 'a job: print what it changes; ends with 1 if it would not start')
  .action(appTopologyCommand);

naming(app.command('stores'))
  .description('list the stores on the disk, also while the application runs')
  .option('--json', 'print a line of JSON for each store and task')
  .action(appStoresCommand);

naming(app.command('reset'))
  .description('delete state and internal topics, and read the input topics again')
  .option('--to-earliest', 'from their beginning; the default')
  .option('--to-latest', 'from their end')
  .option('--to-offset <offset>', 'from an offset', wholeNumber)
  .option('--to-datetime <time>', 'from a time, such as 2026-11-30T12:00:00Z', dateTime)
  .option('--by-duration <duration>', 'from so long ago, such as PT1H30M', duration)
  .option('--shift-by <count>', 'from so many offsets further, or back if negative', distance)
  .option(
    '--input-topics <names>',
    'only those, with commas; the positions in others stay',
    topicList,
  )
  .option('--dry-run', 'say what would be done, and do nothing')
  .option('--json', 'print a line of JSON')
  .action(appResetCommand);

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

/** The data directory, and the flags that name an application. */
function naming(command: Command): Command {
  return command
    .argument('[directory]', DATA_HELP, './data')
    .option('--app <id>', 'its applicationId; of a job its name (default: the only one there is)')
    .option('--state-dir <directory>', 'its stateDir, if it is not in the data directory');
}

/** The flags that choose dead letters. */
function choosing(command: Command, what: string): Command {
  return command
    .option('--data <directory>', DATA_HELP, './data')
    .option('--node <name>', `${what} of this node, or of this connector`)
    .option('--error <name>', `${what} with this error: its code, or its class`)
    .option('--from <offset>', `${what} from this offset on`, wholeNumber, 0)
    .addOption(
      new Option('--to <offset>', `${what} up to this offset, included`)
        .argParser(wholeNumber)
        .default(Infinity, 'all'),
    );
}

/** True if the command that ran has `--json`. */
function wantsJson(): boolean {
  let command = program;
  for (const name of program.args) {
    const next = command.commands.find((each) => each.name() === name);
    if (next === undefined) break;
    command = next;
  }
  return command.opts()['json'] === true;
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
